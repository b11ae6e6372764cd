//! Clients of a running edge, and what it has acknowledged to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::edge::Edge;

/// What an edge has acknowledged, by id.
#[derive(Default)]
pub struct Acknowledged {
    /// Requests that were answered.
    pub requests: BTreeSet<String>,
    /// Impressions.
    pub impressions: BTreeSet<String>,
    /// The user of each interaction.
    pub interactions: BTreeMap<String, String>,
}

/// Milliseconds since the epoch.
///
/// # Panics
/// The clock stands before it.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_millis() as i64
}

/// Ranks, shows and plays until it is stopped, and counts how often; some events are sent twice, as clients do.
///
/// # Panics
/// An answer without items.
pub async fn client(
    edge: Arc<Edge>,
    name: String,
    known: Arc<Mutex<Acknowledged>>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    let mut k = 0u64;
    while !stop.load(Ordering::Relaxed) {
        k += 1;
        let user = format!("user-{}", k % 7);
        let request = format!("r-{name}-{k}");
        let body = json!({
            "id": request, "user": user, "attributes": { "country": "us" }, "context": { "device": "car" },
            "candidates": (0..12).map(|i| json!({ "item": format!("show-{i:04}") })).collect::<Vec<_>>(),
        });
        let Some((200, answer)) = edge.post("/v1/podcasts/rank", &body).await else { continue };
        known.lock().await.requests.insert(request.clone());
        let items = answer["items"].as_array().expect("an answer has items").iter();
        let shown: Vec<Value> = items.map(|i| json!({ "item": i["item"], "position": i["position"] })).collect();
        let impression = json!({ "id": format!("m-{name}-{k}"), "ts": now_ms(), "request": request, "shown": shown });
        let interaction = json!({
            "id": format!("i-{name}-{k}"), "ts": now_ms(), "user": user, "item": shown[0]["item"], "action": "play",
            "surface": "podcasts", "request": request,
        });
        for _ in 0..1 + k % 2 {
            if let Some((202, _)) = edge.post("/v1/impressions", &impression).await {
                known.lock().await.impressions.insert(format!("m-{name}-{k}"));
            }
            if let Some((202, _)) = edge.post("/v1/interactions", &json!([interaction])).await {
                known.lock().await.interactions.insert(format!("i-{name}-{k}"), user.clone());
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}
