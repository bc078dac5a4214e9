/*
Takes the compiler more time and memory than there is: macros and types that double.
Expect: not passed
*/
#![recursion_limit = "4294967295"]
macro_rules! double {
    ($($all:tt)*) => { double!($($all)* $($all)*) };
}

fn answer(_question: u64) -> u64 {
    double!(1 +)
}
