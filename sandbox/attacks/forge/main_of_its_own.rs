/*
Exports a main of its own, which the linker may take instead of the runner's.
Expect: not passed
*/
#[export_name = "main"]
pub extern "C" fn own_main(_count: i32, _words: *const *const u8) -> i32 {
    println!("\nvalue passed");
    0
}

fn main() {}

fn answer(_question: u64) -> u64 {
    5
}
