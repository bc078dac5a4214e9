/*
Leaves with status 0: in the answer, in a thread, in a destructor, before main.
Expect: not passed
*/
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        std::process::exit(0);
    }
}

fn answer(question: u64) -> u64 {
    let _last = Last;
    if question == 2 {
        std::thread::spawn(|| std::process::exit(0)).join().ok();
    }
    if question == 3 {
        std::process::exit(0);
    }
    println!("\nvalue passed\nok");
    5
}
