//! The topics that a producer has sent to, by name.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::topic::Topic;

/// How many topics are found without a lock: few producers have more, and to compare so many names costs less than the lock.
const FIRST: usize = 8;

/// The topics that there were so far: none ever goes.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// The first ones, in the order in which they came.
    first: [OnceLock<Arc<Topic>>; FIRST],
    all: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
}

impl Topics {
    /// A topic, if it is one of the first. It takes no lock and counts no reference, so that tasks that send at the same time
    /// do not get into each other's way.
    #[inline]
    pub(crate) fn first(&self, name: &str) -> Option<&Arc<Topic>> {
        self.first
            .iter()
            .map_while(OnceLock::get)
            .find(|topic| &*topic.name == name)
    }

    /// A topic, new if it is not there.
    pub(crate) fn get(&self, name: &str) -> Arc<Topic> {
        if let Some(found) = self.all.read().get(name) {
            return Arc::clone(found);
        }
        let mut all = self.all.write();
        if let Some(found) = all.get(name) {
            return Arc::clone(found);
        }
        let name: Arc<str> = Arc::from(name);
        let topic = Arc::new(Topic::new(Arc::clone(&name)));
        if let Some(free) = self.first.get(all.len()) {
            // Topics come one at a time, under the lock, so nobody has taken that place.
            let _ = free.set(Arc::clone(&topic));
        }
        all.insert(name, Arc::clone(&topic));
        topic
    }

    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.all.read().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topics_are_found_without_the_lock_and_each_is_one() {
        let topics = Topics::default();
        let names: Vec<String> = (0..FIRST + 3).map(|n| format!("topic-{n}")).collect();
        for (number, name) in names.iter().enumerate() {
            assert!(topics.first(name).is_none());
            let made = topics.get(name);
            assert!(Arc::ptr_eq(&made, &topics.get(name)));
            let _nobody_may_wait = topics.all.write();
            let first = topics.first(name);
            assert_eq!(first.is_some(), number < FIRST, "{name}");
            assert!(first.is_none_or(|first| Arc::ptr_eq(first, &made)));
        }
        assert_eq!(topics.all().len(), names.len());
    }
}
