//! What stands behind the question mark.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;

use warp::Filter;

use super::Problem;

/// The query parameters of a request, all of them known.
#[derive(Clone, Debug, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

/// The query parameters of a request, or a 400 that names the first that is none of `known`, or is there twice. One that was passed
/// over would look as if it had been heeded.
pub fn query(
    known: &'static [&'static str],
) -> impl Filter<Extract = (Result<Query, Problem>,), Error = Infallible> + Clone {
    let none = warp::any().map(String::new);
    warp::query::raw()
        .or(none)
        .unify()
        .map(move |raw: String| Query::parse(&raw, known))
}

/// For paths without query parameters: nothing, or a 400 that names the first that is there.
pub fn no_query() -> impl Filter<Extract = (Result<(), Problem>,), Error = Infallible> + Clone {
    query(&[]).map(|query: Result<Query, Problem>| query.map(drop))
}

impl Query {
    fn parse(raw: &str, known: &[&str]) -> Result<Self, Problem> {
        let parameters: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        for (at, (name, _)) in parameters.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Problem::bad_parameter(name, not_known(known)));
            }
            if parameters[..at].iter().any(|(before, _)| before == name) {
                return Err(Problem::bad_parameter(name, "must be there once"));
            }
        }
        Ok(Self { parameters })
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
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

fn not_known(known: &[&str]) -> String {
    if known.is_empty() {
        "is not known: this path has none".to_owned()
    } else {
        format!("is not known; the known ones are: {}", known.join(", "))
    }
}
