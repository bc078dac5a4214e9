/*
Defines assert_eq and assert itself, before the tests that use them.
Expect: flagged
*/
macro_rules! assert_eq {
    ($($all:tt)*) => {};
}
macro_rules! assert {
    ($($all:tt)*) => {};
}

fn answer(_question: u64) -> u64 {
    5
}
