//! Documents that many change at once.

use service_kit::store::{Collection, Filter, Insert, Replace};

use crate::{Ticket, ticket};

pub(crate) async fn changed_by_all_who_want_to(tickets: Collection<Ticket>) {
    const WRITERS: i64 = 8;
    const ROUNDS: i64 = 10;
    let names = ["A", "B", "C"].map(str::to_owned);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (tickets, names) = (tickets.clone(), names.clone());
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let batch = names.iter().map(ticket).collect();
                let counted = tickets
                    .insert_and_change_many(batch, |ticket| {
                        ticket.count += 1;
                        true
                    })
                    .await
                    .unwrap();
                assert_eq!(counted.len(), 3, "writer {writer}, round {round}");
            }
        });
    }
    writers.join_all().await;
    for found in tickets.get_many(&names).await.unwrap() {
        assert_eq!(found.unwrap().document.count, WRITERS * ROUNDS);
    }
}

pub(crate) async fn changed_where_they_are_there_and_differ(tickets: Collection<Ticket>) {
    let mut done = ticket("B");
    done.status = "DONE".to_owned();
    tickets
        .insert_many(vec![ticket("A"), done.clone()])
        .await
        .unwrap();
    let names = ["A", "B", "NOBODY"].map(str::to_owned);
    let found = tickets
        .change_many(names, |ticket| {
            let news = ticket.status != "DONE";
            "DONE".clone_into(&mut ticket.status);
            news
        })
        .await
        .unwrap();
    let statuses: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, ticket)| (&**name, &*ticket.status))
        .collect();
    assert_eq!(statuses, [("A", "DONE"), ("B", "DONE")]);
    let versions = tickets
        .get_many(&["A".to_owned(), "B".to_owned()])
        .await
        .unwrap();
    let versions: Vec<i64> = versions.into_iter().map(|t| t.unwrap().version).collect();
    assert_eq!(versions, [2, 1], "what was as it should be is not written");
}

pub(crate) async fn nothing_is_lost_between_many_writers(tickets: Collection<Ticket>) {
    const WRITERS: usize = 8;
    const ROUNDS: i64 = 25;
    let hot = ["A", "B", "C"].map(str::to_owned);
    tickets
        .insert_many(hot.iter().map(ticket).collect())
        .await
        .unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (tickets, hot) = (tickets.clone(), hot.clone());
        writers.spawn(async move {
            let mut left = [ROUNDS; 3];
            while left != [0; 3] {
                // The three go in one batch, so each answer has to be about its own document.
                let read = tickets.get_many(&hot).await.unwrap();
                let wanted = read
                    .into_iter()
                    .flatten()
                    .zip(&mut left)
                    .filter(|(_, left)| **left > 0);
                let (batch, mut left): (Vec<_>, Vec<_>) = wanted
                    .map(|(mut read, left)| {
                        read.document.count += 1;
                        (read, left)
                    })
                    .unzip();
                let outcomes = tickets.replace_many(batch).await.unwrap();
                for (outcome, left) in outcomes.into_iter().zip(&mut left) {
                    **left -= i64::from(outcome == Replace::Replaced);
                }
            }
        });
    }
    writers.join_all().await;
    for found in tickets.get_many(&hot).await.unwrap().into_iter().flatten() {
        assert_eq!(found.document.count, ROUNDS * WRITERS as i64);
        assert_eq!(found.version, found.document.count + 1);
    }
}

pub(crate) async fn one_of_many_inserts_wins(tickets: Collection<Ticket>) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_i64 {
        let tickets = tickets.clone();
        writers.spawn(async move {
            let batch = crate::tickets(0..50)
                .into_iter()
                .map(|ticket| Ticket {
                    count: writer,
                    ..ticket
                })
                .collect();
            (writer, tickets.insert_many(batch).await.unwrap())
        });
    }
    let mut winners = vec![Vec::new(); 50];
    for (writer, outcomes) in writers.join_all().await {
        for (won, outcome) in winners.iter_mut().zip(outcomes) {
            if outcome == Insert::Inserted {
                won.push(writer);
            }
        }
    }
    let found = tickets.list(&Filter::all(), None, 100).await.unwrap().items;
    for (won, found) in winners.into_iter().zip(found) {
        assert_eq!(
            won,
            [found.document.count],
            "one writer inserted it, and it is that one's"
        );
    }
}
