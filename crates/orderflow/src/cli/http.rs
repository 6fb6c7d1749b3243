//! The settings of what answers HTTP.

use std::net::IpAddr;

use clap::Args;
use service_kit::http::AllowedHosts;

/// Where HTTP listens, and to which names it answers.
#[derive(Debug, Clone, Args)]
pub struct Http {
    /// The address that HTTP listens on.
    #[arg(long = "http-host", env = "HTTP_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The names that HTTP answers to, separated by commas, besides localhost, addresses and names without a dot; * for all.
    #[arg(
        long = "http-allowed-hosts",
        env = "HTTP_ALLOWED_HOSTS",
        default_value = "",
        hide_default_value = true
    )]
    pub allowed_hosts: AllowedHosts,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn the_names_that_http_answers_to_are_names() {
        for command in [&["serve", "payment"][..], &["dashboard"], &[]] {
            for (given, right) in [
                ("a.example,b", true),
                ("*", true),
                ("", true),
                ("http://a.example", false),
            ] {
                let arguments = ["orderflow"].iter().chain(command);
                let parsed = Cli::try_parse_from(arguments.chain(&["--http-allowed-hosts", given]));
                assert_eq!(parsed.is_ok(), right, "{command:?} {given}");
            }
        }
    }
}
