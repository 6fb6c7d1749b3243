//! GET /shipments and GET /shipments/{order_id}.

use contracts::{
    CustomerId, Item, OrderId, ShipmentId, ShipmentStatus, ShippingAddress, Timestamp,
    TrackingNumber,
};
use serde::Serialize;
use service_kit::http::{self, Page, PageRequest, Problem, Routes, Segment, ok};
use service_kit::store::{Collection, Filter as StoreFilter};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::shipment::Shipment;

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 2] = ["/shipments", "/shipments/{order_id}"];

/// A shipment as HTTP tells it.
#[derive(Debug, Serialize)]
struct ShipmentView {
    shipment_id: ShipmentId,
    order_id: OrderId,
    customer_id: CustomerId,
    items: Vec<Item>,
    shipping_address: ShippingAddress,
    status: ShipmentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_number: Option<TrackingNumber>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipped_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_delivery: Option<Timestamp>,
}

impl From<Shipment> for ShipmentView {
    fn from(shipment: Shipment) -> Self {
        // The document and the event have both in any case; but what was stopped is nowhere to be followed, and never arrives.
        let goes = shipment.status != ShipmentStatus::Cancelled;
        Self {
            shipment_id: shipment.shipment_id,
            order_id: shipment.order_id,
            customer_id: shipment.customer_id,
            items: shipment.items,
            shipping_address: shipment.shipping_address,
            status: shipment.status,
            tracking_number: goes.then_some(shipment.tracking_number),
            created_at: shipment.created_at,
            shipped_at: shipment.shipped_at,
            cancelled_at: shipment.cancelled_at,
            estimated_delivery: goes.then_some(shipment.estimated_delivery),
        }
    }
}

pub(crate) fn routes(shipments: Collection<Shipment>) -> Routes {
    let all = shipments.clone();
    let list = warp::path!("shipments")
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let shipments = all.clone();
            async move {
                list(&shipments, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("shipments" / Segment)
        .and(http::get())
        .and(http::no_query())
        .then(move |order_id: Segment, query| {
            let shipments = shipments.clone();
            async move {
                get(&shipments, &order_id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    http::first_of([list.boxed(), get.boxed()])
}

async fn list(
    shipments: &Collection<Shipment>,
    page: Result<PageRequest<OrderId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let found = shipments
        .list_in(
            page.direction,
            &StoreFilter::all(),
            page.after.as_ref(),
            page.limit,
        )
        .await?;
    let items = found
        .items
        .into_iter()
        .map(|shipment| ShipmentView::from(shipment.document));
    Ok(ok(&Page::new(items, found.next)))
}

async fn get(
    shipments: &Collection<Shipment>,
    order_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || Problem::not_found(format!("there is no shipment of order {order_id}"));
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let found = shipments.get(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&ShipmentView::from(found.document)))
}

#[cfg(test)]
mod tests {
    use contracts::{InventoryUpdated, Timestamp};
    use serde_json::{Value, json};

    use super::ShipmentView;
    use crate::shipment::Shipment;

    fn fields(change: impl FnOnce(&mut Shipment)) -> Value {
        let order: InventoryUpdated = serde_json::from_value(json!({
            "order_id": "01a207bd-a9c0-7000-8000-000000000001",
            "customer_id": "C1",
            "status": "UPDATED",
            "items": [],
            "shipping_address": "1 Main Street",
            "timestamp": "2026-11-26T12:00:00.000Z",
        }))
        .unwrap();
        let mut shipment = Shipment::pack(&order, Timestamp::from_millis(1));
        change(&mut shipment);
        serde_json::to_value(ShipmentView::from(shipment)).unwrap()
    }

    #[test]
    fn a_shipment_that_was_stopped_has_no_tracking_number_and_never_arrives() {
        let now = Timestamp::from_millis(2);
        let packed = fields(|_| ());
        let shipped = fields(|shipment| assert!(shipment.ship(now)));
        for goes in [packed, shipped] {
            assert!(goes["tracking_number"].is_string() && goes["estimated_delivery"].is_string());
        }
        let stopped = fields(|shipment| assert!(shipment.cancel(now)));
        assert_eq!(stopped["status"], json!("CANCELLED"));
        for field in ["tracking_number", "estimated_delivery"] {
            assert!(stopped.get(field).is_none(), "{stopped}");
        }
    }
}
