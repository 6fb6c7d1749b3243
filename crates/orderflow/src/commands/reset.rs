//! `orderflow reset-offsets`: sets what a group has committed to another place.

use kafka_client::{OffsetAt, OffsetsReset, PlannedOffset};

use super::init_log;
use super::kafka::{client, table};
use super::output::{say, show};
use crate::cli::{ResetOffsets, ResetTo};
use crate::shop::ShopError;

pub(super) async fn run(command: ResetOffsets) -> Result<(), ShopError> {
    init_log("warn")?;
    let admin = client(&command.kafka)?.admin();
    let planned = admin.plan_reset(OffsetsReset {
        group: &command.group,
        topic: command.topic.as_deref(),
        partition: command.partition,
        to: place(command.to),
    });
    let planned = planned.await?;
    if command.dry_run {
        show!("{}", told(&planned));
        say!("nothing was set: this is a dry run");
        return Ok(());
    }
    admin.carry_out_reset(&command.group, &planned).await?;
    show!("{}", told(&planned));
    Ok(())
}

fn place(to: ResetTo) -> kafka_client::ResetTo {
    use kafka_client::ResetTo::{At, Offset};
    match to {
        ResetTo::Earliest => At(OffsetAt::Earliest),
        ResetTo::Latest => At(OffsetAt::Latest),
        ResetTo::Time(time) => At(OffsetAt::Timestamp(time.millis())),
        ResetTo::Offset(offset) => Offset(offset),
    }
}

fn told(planned: &[PlannedOffset]) -> String {
    let rows: Vec<[String; 4]> = planned
        .iter()
        .map(|planned| {
            let was = planned.was.map(|offset| offset.to_string());
            [
                planned.partition.topic.to_string(),
                planned.partition.partition.to_string(),
                was.unwrap_or_else(|| "-".to_owned()),
                planned.now.to_string(),
            ]
        })
        .collect();
    table(["TOPIC", "PARTITION", "WAS", "NOW"], &rows)
}
