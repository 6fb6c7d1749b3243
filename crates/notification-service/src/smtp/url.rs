//! Where the relay is.

use std::fmt;
use std::str::FromStr;

use warp::http::Uri;

/// The port of SMTP (RFC 5321 section 4.5.4.2).
const PORT: u16 = 25;

/// The address of a relay: `smtp://127.0.0.1:1025`. Without a port it is 25.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    host: String,
    port: u16,
}

/// Why a text is no address of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    /// It is none at all.
    #[error("must be a URL such as smtp://127.0.0.1:1025")]
    Url,
    /// It asks for TLS.
    #[error(
        "must begin with smtp://, since TLS is not spoken: name a relay nearby, and let that speak it"
    )]
    Tls,
    /// It names a user, whose password would travel readably. It is not repeated here.
    #[error("must not name a user, since without TLS the password would travel readably")]
    User,
}

impl SmtpUrl {
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for SmtpUrl {
    type Err = SmtpUrlError;

    fn from_str(text: &str) -> Result<Self, SmtpUrlError> {
        let uri: Uri = text.parse().map_err(|_| SmtpUrlError::Url)?;
        match uri.scheme_str() {
            Some("smtp") => {}
            Some("smtps" | "submission" | "submissions") => return Err(SmtpUrlError::Tls),
            _ => return Err(SmtpUrlError::Url),
        }
        let authority = uri.authority().ok_or(SmtpUrlError::Url)?;
        if authority.as_str().contains('@') {
            return Err(SmtpUrlError::User);
        }
        let host = authority.host().trim_matches(['[', ']']);
        // A port that cannot be read leaves its colon behind.
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() == authority.host().len() => PORT,
            None => return Err(SmtpUrlError::Url),
        };
        if host.is_empty() || port == 0 || uri.path() != "/" || uri.query().is_some() {
            return Err(SmtpUrlError::Url);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "smtp://[{host}]:{port}")
        } else {
            write!(f, "smtp://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_refused_with_the_reason() {
        for (text, read) in [
            ("smtp://127.0.0.1:1025", "smtp://127.0.0.1:1025"),
            ("smtp://mailpit:1025/", "smtp://mailpit:1025"),
            ("smtp://relay.example", "smtp://relay.example:25"),
            ("smtp://[::1]:1025", "smtp://[::1]:1025"),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), read);
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        for (text, error) in [
            ("", SmtpUrlError::Url),
            ("mailpit:1025", SmtpUrlError::Url),
            ("http://mailpit:1025", SmtpUrlError::Url),
            ("smtp://mailpit:1025/path", SmtpUrlError::Url),
            ("smtp://mailpit:1025?tls=required", SmtpUrlError::Url),
            ("smtp://mailpit:0", SmtpUrlError::Url),
            ("smtp://mailpit:", SmtpUrlError::Url),
            ("smtp://mailpit:x", SmtpUrlError::Url),
            ("smtp://:25", SmtpUrlError::Url),
            ("smtps://mailpit:465", SmtpUrlError::Tls),
            ("smtp://me:secret@mailpit", SmtpUrlError::User),
        ] {
            assert_eq!(text.parse::<SmtpUrl>(), Err(error), "{text}");
        }
    }
}
