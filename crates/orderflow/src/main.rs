//! `orderflow`: see `orderflow --help`.

use std::process::ExitCode;

use clap::Parser;
use orderflow::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(orderflow::run(cli));
    // A name that is being looked up holds a thread that nothing can stop: dropping the runtime would wait for it.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("orderflow: {error}");
    ExitCode::FAILURE
}
