#![no_main] {candidate}
{setup}
#[doc(hidden)]
mod __recode {
    // Paths start with `::`, so that an answer's own `std` or `Option` changes nothing here.
    use ::std::any::Any;
    use ::std::boxed::Box;
    use ::std::cell::Cell;
    use ::std::fmt::Debug;
    use ::std::io::{stdout, Read, Write};
    use ::std::marker::Send;
    use ::std::mem::ManuallyDrop;
    use ::std::option::Option::{self, None, Some};
    use ::std::os::fd::FromRawFd;
    use ::std::result::Result::{self, Err, Ok};
    use ::std::string::String;
    use ::std::{format, thread, thread_local, writeln};

    /// What a test may return.
    pub trait Outcome {
        fn complaint(self) -> Option<String>;
    }
    impl Outcome for () {
        fn complaint(self) -> Option<String> {
            None
        }
    }
    impl<T, E: Debug> Outcome for Result<T, E> {
        fn complaint(self) -> Option<String> {
            self.err().map(|error| format!("returned Err({:?})", error))
        }
    }

    fn words(payload: Box<dyn Any + Send>) -> String {
        if let Some(text) = payload.downcast_ref::<&str>() {
            return String::from(*text);
        }
        match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => String::from("panicked"),
        }
    }

    /// What is wrong with a test after it has run, in a thread of its own as under `cargo test`.
    fn complaint<O: Outcome + 'static>(test: fn() -> O, panics: Option<&str>) -> Option<String> {
        let started = thread::Builder::new().name(String::from("test"));
        let ended = match started.spawn(move || test().complaint()) {
            Ok(handle) => handle.join(),
            Err(error) => return Some(format!("no thread for the test: {}", error)),
        };
        match (ended, panics) {
            (Ok(found), None) => found,
            (Ok(_), Some(_)) => Some(String::from("did not panic, but should")),
            (Err(payload), None) => Some(words(payload)),
            (Err(payload), Some(expected)) => {
                let said = words(payload);
                if said.contains(expected) {
                    None
                } else {
                    Some(format!("panicked with: {}", said))
                }
            }
        }
    }

    /// Read the nonce of the test that is over, and print its verdict.
    fn say(found: Option<String>) {
        let mut pipe = ManuallyDrop::new(unsafe { ::std::fs::File::from_raw_fd(3) });
        let mut nonce = String::new();
        let mut byte = [0u8; 1];
        while pipe.read(&mut byte).unwrap_or(0) == 1 && byte[0] != b'\n' {
            nonce.push(byte[0] as char);
        }
        let line = match found {
            None => format!("\n{} passed\n", nonce),
            Some(text) => format!("\n{} failed {}\n", nonce, text.replace(['\n', '\r'], " ")),
        };
        let mut out = stdout().lock();
        let _ = out.write_all(line.as_bytes());
        let _ = out.flush();
    }

    /// A test with a verdict of its own.
    pub fn check<O: Outcome + 'static>(test: fn() -> O, panics: Option<&str>) {
        say(complaint(test, panics));
    }

    thread_local! { static FAILED: Cell<bool> = Cell::new(false); }

    /// One of several tests with one verdict, which `passed` gives unless one of them has failed.
    pub fn run<O: Outcome + 'static>(test: fn() -> O, panics: Option<&str>) {
        if FAILED.with(|failed| failed.get()) {
            return;
        }
        if let Some(text) = complaint(test, panics) {
            FAILED.with(|failed| failed.set(true));
            say(Some(text));
        }
    }
    pub fn passed() {
        if !FAILED.with(|failed| failed.replace(false)) {
            say(None);
        }
    }

    pub fn defined(line: &str) {
        let mut out = stdout().lock();
        let _ = writeln!(out, "\n{}", line);
        let _ = out.flush();
    }
}
#[export_name = "main"]
pub extern "C" fn __recode_main(count: i32, _: *const *const u8) -> i32 {
    if count > 1 {
        return 1; // a test has started its own program with arguments
    }
    __recode::defined("{defined}");
    {tests}
    0
}
