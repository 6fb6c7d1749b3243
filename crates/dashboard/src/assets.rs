//! The page: the files of `web/`, in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};

use service_kit::http::{Problem, Routes, get, no_query};
use warp::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;
use warp::{Filter, Reply};

/// A file of the page.
struct Asset {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal,)+) => {
        /// Every file of the page. A new one is a line here; a test compares them with the folder.
        const ASSETS: &[Asset] = &[$(Asset {
            name: $name,
            bytes: include_bytes!(concat!("../web/", $name)),
        },)+];
    };
}

assets! {
    "actions.js",
    "api.js",
    "byhand.js",
    "commands.js",
    "dom.js",
    "drawer.js",
    "flow.js",
    "format.js",
    "groups.js",
    "icon.svg",
    "index.html",
    "journey.js",
    "json.js",
    "lane.js",
    "letters.js",
    "log.js",
    "main.js",
    "orders.js",
    "panels.css",
    "pipeline.js",
    "place.js",
    "rebalances.js",
    "record.js",
    "reset.js",
    "routes.js",
    "services.js",
    "spark.js",
    "status.js",
    "stock.js",
    "stream.js",
    "style.css",
    "theme.js",
    "topics.js",
}

/// Only what comes from here is loaded, run or asked. No other page may frame this one and have somebody click on what he does not
/// see; `default-src` does not speak for that, nor for the other two.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// GET / and the other files of the page.
pub(crate) fn routes() -> Routes {
    let index = warp::path::end().map(|| "index.html".to_owned());
    let named = warp::path!(String).and_then(|name: String| async move {
        let known = ASSETS.iter().any(|asset| asset.name == name);
        known.then_some(name).ok_or_else(warp::reject::not_found)
    });
    index
        .or(named)
        .unify()
        .and(get())
        .and(no_query())
        .and(warp::header::optional::<String>(IF_NONE_MATCH.as_str()))
        .map(
            |name: String, query: Result<(), Problem>, known: Option<String>| {
                if let Err(problem) = query {
                    return problem.into_response();
                }
                let found = ASSETS.iter().find(|asset| asset.name == name);
                found.map_or_else(
                    || Problem::not_found("there is no such file").into_response(),
                    |asset| asset.reply(known.as_deref()),
                )
            },
        )
        .boxed()
}

impl Asset {
    fn reply(&self, known: Option<&str>) -> Response {
        let tag = self.tag();
        let same = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
        let mut response = if same {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(self.bytes.into())
        };
        let mut header = |name: HeaderName, value: &'static str| {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        };
        header(CONTENT_TYPE, self.content_type());
        header(CONTENT_SECURITY_POLICY, POLICY);
        header(X_CONTENT_TYPE_OPTIONS, "nosniff");
        // Kept, but asked for each time: after an update nobody sees a page of two versions.
        header(CACHE_CONTROL, "no-cache");
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// Another for other bytes.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::ASSETS;

    #[test]
    fn every_file_of_the_folder_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let wanted = |name: &String| {
            let kind = name.rsplit_once('.').map(|(_, kind)| kind);
            kind.is_some_and(|kind| ["html", "css", "js", "svg"].contains(&kind))
        };
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(wanted)
            .collect();
        files.sort();
        let mut table: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        table.sort_unstable();
        assert_eq!(files, table, "each needs its line in src/assets.rs");
    }

    #[test]
    fn the_tag_follows_the_bytes() {
        let asset = &ASSETS[0];
        let reply = asset.reply(None);
        assert_eq!(reply.status(), 200);
        let tag = reply.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(asset.reply(Some(&tag)).status(), 304);
        assert_eq!(asset.reply(Some("\"another\"")).status(), 200);
    }
}
