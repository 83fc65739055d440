//! Arguments to commands; nothing else.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    rollcall::cli::Cli::parse().run()
}
