//! `orderflow`: see `orderflow --help`.

use std::process::ExitCode;

use clap::Parser;
use orderflow::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match orderflow::run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("orderflow: {error}");
            ExitCode::FAILURE
        }
    }
}
