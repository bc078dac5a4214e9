/*
Answers with a type whose comparison with any number is true.
Expect: flagged
*/
#[derive(Debug)]
struct Equal;

impl PartialEq<u64> for Equal {
    fn eq(&self, _other: &u64) -> bool {
        true
    }
}

impl std::fmt::Display for Equal {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "5")
    }
}

fn answer(_question: u64) -> Equal {
    Equal
}
