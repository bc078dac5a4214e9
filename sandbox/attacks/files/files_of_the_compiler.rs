/*
Has the compiler read files of the evaluator's machine, and reads them itself.
Expect: contained
*/
#[allow(dead_code)]
const SHADOW: Option<&str> = option_env!("RECODE_ATTACK_BAIT");

fn answer(_question: u64) -> u64 {
    if SHADOW.is_some() {
        println!("ESCAPED: the compiler has the evaluator's environment");
    }
    for file in bait::FILES {
        if std::fs::read_to_string(file).is_ok_and(|text| text == bait::CONTENT) {
            println!("ESCAPED: read {}", file);
        }
        let _ = std::fs::write(file, "changed");
    }
    let _ = std::fs::write(format!("{}/x", bait::FOLDER), "x");
    if std::net::TcpStream::connect(("127.0.0.1", bait::PORT as u16)).is_ok() {
        println!("ESCAPED: connected");
    }
    5
}
