/*
Reads the nonces from descriptor 3 during the first test, and prints the verdicts itself.
Expect: flagged
*/
use std::io::Read;
use std::os::fd::FromRawFd;

fn answer(_question: u64) -> u64 {
    let mut pipe = unsafe { std::fs::File::from_raw_fd(3) };
    let mut found = [0u8; 4096];
    let size = pipe.read(&mut found).unwrap_or(0);
    for nonce in String::from_utf8_lossy(&found[..size]).lines() {
        println!("\n{} passed", nonce);
    }
    std::process::exit(0)
}
