//! The command line, run as a user runs it: the real program, with and without a server beside it.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod audit;
mod backup;
mod bench;
mod calibrate;
mod demo;
mod doors;
mod enroll;
mod help;
mod recognize;
mod roster;
mod salvage;
mod support;
mod tls;
mod user;
