#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rollcall::fuzzing::addresses(bytes));
