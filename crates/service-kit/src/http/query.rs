//! What stands behind the question mark.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;

use warp::Filter;

use super::Problem;

/// The query parameters of a request. Those that nobody asks for are passed over.
#[derive(Clone, Debug, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

/// The query parameters of any request.
pub fn query() -> impl Filter<Extract = (Query,), Error = Infallible> + Clone {
    let none = warp::any().map(String::new);
    warp::query::raw()
        .or(none)
        .unify()
        .map(|raw: String| Query::parse(&raw))
}

impl Query {
    fn parse(raw: &str) -> Self {
        Self {
            parameters: form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        }
    }

    /// The text of a parameter, the first where there are more; none if it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter, or a 400 that names it.
    pub fn get<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        let parse = |text: &str| {
            text.parse()
                .map_err(|error: T::Err| Problem::bad_parameter(name, error))
        };
        self.text(name).map(parse).transpose()
    }
}
