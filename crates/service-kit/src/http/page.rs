//! Lists, a page at a time: `{"items":[…],"next":…}`.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use warp::Filter;

use super::{Problem, Query, query};
use crate::store::Direction;

/// Items of a page that does not say how many.
const DEFAULT: usize = 50;
/// The most items of a page.
const MOST: usize = 500;

/// Which page is asked for: `?limit=…&after=…&order=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<Id> {
    /// How many items at most: from 1 to 500, 50 unless told.
    pub limit: usize,
    /// The `next` of the page before; none for the first page.
    pub after: Option<Id>,
    /// Which way: `?order=asc`, which it is unless told, or `?order=desc`.
    pub direction: Direction,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items, in the order of their ids or in the reverse of it.
    pub items: Vec<T>,
    /// What to hand in as `after` for the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of these items, the next one after `next`.
    pub fn new(items: impl IntoIterator<Item = T>, next: Option<impl Display>) -> Self {
        Self {
            items: items.into_iter().collect(),
            next: next.map(|next| next.to_string()),
        }
    }
}

/// Which page of a list is asked for, or a 400 that names the query parameter that is wrong.
pub fn page<Id>()
-> impl Filter<Extract = (Result<PageRequest<Id>, Problem>,), Error = Infallible> + Clone
where
    Id: FromStr<Err: Display> + Send,
{
    query(&["after", "limit", "order"])
        .map(|query: Result<Query, Problem>| PageRequest::read(&query?))
}

/// As [`page`], of a list that goes one way only.
pub fn ascending_page<Id>()
-> impl Filter<Extract = (Result<PageRequest<Id>, Problem>,), Error = Infallible> + Clone
where
    Id: FromStr<Err: Display> + Send,
{
    query(&["after", "limit"]).map(|query: Result<Query, Problem>| PageRequest::read(&query?))
}

impl<Id: FromStr<Err: Display>> PageRequest<Id> {
    fn read(query: &Query) -> Result<Self, Problem> {
        let limit = match query.text("limit").map(str::parse) {
            None => DEFAULT,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => {
                let reason = format!("must be a whole number from 1 to {MOST}");
                return Err(Problem::bad_parameter("limit", reason));
            }
        };
        Ok(Self {
            limit,
            after: query.get("after")?,
            direction: query.get("order")?.unwrap_or_default(),
        })
    }
}
