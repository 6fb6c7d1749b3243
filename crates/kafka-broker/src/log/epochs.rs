//! Which leader epoch starts at which offset (KIP-101, KIP-320).

#[derive(Debug, Clone)]
pub(crate) struct Epochs {
    /// Epoch and the offset of its first record, both rising.
    starts: Vec<(i32, i64)>,
}

impl Epochs {
    pub(crate) fn new(epoch: i32) -> Self {
        Self {
            starts: vec![(epoch, 0)],
        }
    }

    /// Notes that a leader with this epoch appends from `offset` on.
    pub(crate) fn begin(&mut self, epoch: i32, offset: i64) {
        // An epoch in which nothing was appended leaves no trace in the records.
        while self
            .starts
            .last()
            .is_some_and(|(_, start)| *start >= offset)
        {
            self.starts.pop();
        }
        self.starts.push((epoch, offset));
    }

    /// Forgets what lies before the log's start.
    pub(crate) fn truncate_front(&mut self, log_start: i64) {
        let gone = self
            .starts
            .iter()
            .skip(1)
            .take_while(|(_, start)| *start <= log_start)
            .count();
        self.starts.drain(..gone);
        if let Some(first) = self.starts.first_mut() {
            first.1 = first.1.max(log_start);
        }
    }

    /// Forgets what lies behind the log's end.
    pub(crate) fn truncate_back(&mut self, log_end: i64) {
        while self.starts.len() > 1 && self.starts.last().is_some_and(|(_, at)| *at >= log_end) {
            self.starts.pop();
        }
    }

    /// The largest epoch up to `requested` and the offset where it ends; (−1, −1) when that is not known.
    pub(crate) fn end_of(&self, requested: i32, leader_epoch: i32, log_end: i64) -> (i32, i64) {
        if requested == leader_epoch {
            return (leader_epoch, log_end);
        }
        if requested < 0 || requested > leader_epoch {
            return (-1, -1);
        }
        let following = self
            .starts
            .partition_point(|(epoch, _)| *epoch <= requested);
        let end = self
            .starts
            .get(following)
            .map_or(log_end, |(_, start)| *start);
        // Before the first known epoch, the answer is the requested one and where the known ones start.
        let epoch = match following.checked_sub(1) {
            Some(floor) => self.starts[floor].0,
            None => requested,
        };
        (epoch, end)
    }

    /// The epoch of the record at `offset`.
    pub(crate) fn at(&self, offset: i64) -> Option<i32> {
        let following = self.starts.partition_point(|(_, start)| *start <= offset);
        following.checked_sub(1).map(|floor| self.starts[floor].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut epochs = Epochs::new(0);
        epochs.begin(2, 10);
        epochs.begin(5, 30);
        assert_eq!(epochs.end_of(0, 5, 40), (0, 10));
        assert_eq!(epochs.end_of(1, 5, 40), (0, 10), "epoch 1 wrote nothing");
        assert_eq!(epochs.end_of(2, 5, 40), (2, 30));
        assert_eq!(epochs.end_of(5, 5, 40), (5, 40));
        assert_eq!(epochs.end_of(6, 5, 40), (-1, -1));
        assert_eq!(epochs.at(9), Some(0));
        assert_eq!(epochs.at(10), Some(2));
    }

    #[test]
    fn an_epoch_without_records_is_replaced_by_the_next() {
        let mut epochs = Epochs::new(0);
        epochs.begin(1, 0);
        epochs.begin(2, 0);
        assert_eq!(epochs.end_of(2, 2, 5), (2, 5));
        assert_eq!(epochs.end_of(0, 2, 5), (0, 0));
    }

    #[test]
    fn what_was_deleted_is_forgotten() {
        let mut epochs = Epochs::new(0);
        epochs.begin(1, 10);
        epochs.begin(2, 20);
        epochs.truncate_front(15);
        assert_eq!(epochs.end_of(0, 2, 30), (0, 15));
        assert_eq!(epochs.end_of(1, 2, 30), (1, 20));
    }
}
