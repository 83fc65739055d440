//! The command line, run as a user runs it: the real program, with and without a server beside it.

mod bench;
mod doors;
mod enroll;
mod help;
mod recognize;
mod support;
