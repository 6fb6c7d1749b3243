//! Documents that many change at once.

use service_kit::store::Collection;

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
