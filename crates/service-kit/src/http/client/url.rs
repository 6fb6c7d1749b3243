//! Where a service answers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hyper::Uri;

/// Where a service answers: `http://host:port`, perhaps with a path in front of the service's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    /// As the `Host` of a request has it.
    authority: String,
    /// With the port in any case.
    address: String,
    /// Without a slash at its end.
    path: String,
}

/// The text is not the URL of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as http://127.0.0.1:8001, without a query")]
pub struct UrlError;

impl BaseUrl {
    /// That port of this machine.
    pub fn local(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        Self(Arc::new(Parts {
            authority: address.clone(),
            address,
            path: String::new(),
        }))
    }

    /// Host and port, as the `Host` of a request has them.
    pub(super) fn authority(&self) -> &str {
        &self.0.authority
    }

    /// Host and port to connect to.
    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    /// What stands in front of the service's own paths.
    pub(super) fn path(&self) -> &str {
        &self.0.path
    }
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError)?;
        let authority = uri.authority().ok_or(UrlError)?;
        let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
        if !plain || uri.query().is_some() || authority.host().is_empty() {
            return Err(UrlError);
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .ok_or(UrlError)?,
            None => return Err(UrlError),
        };
        let port: u16 = port;
        Ok(Self(Arc::new(Parts {
            authority: authority.to_string(),
            address: format!("{}:{port}", authority.host()),
            path: uri.path().trim_end_matches('/').to_owned(),
        })))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.0.authority, self.0.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_port_and_path() {
        let url: BaseUrl = "http://shop.example/api/".parse().unwrap();
        assert_eq!(url.to_string(), "http://shop.example/api");
        assert_eq!(
            (url.address(), url.authority()),
            ("shop.example:80", "shop.example")
        );
        let url: BaseUrl = "http://[::1]:8001".parse().unwrap();
        assert_eq!((url.address(), url.path()), ("[::1]:8001", ""));
        assert_eq!("http://127.0.0.1:8001/".parse(), Ok(BaseUrl::local(8001)));
    }

    #[test]
    fn what_is_no_url_of_a_service_is_refused() {
        for text in [
            "",
            "127.0.0.1:8001",
            "https://shop.example",
            "/orders",
            "http://user@shop.example",
            "http://shop.example/?a=b",
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(UrlError), "{text}");
        }
    }
}
