//! Requests for logs that have none: what people did tells when a surface would have been asked.
//!
//! A derived request has no candidates, so the spec's own sources supply them, and it comes just before the interaction
//! that it is derived from, whose time, user, local time and id it takes.

use std::collections::HashMap;

use serde::Deserialize;
use shared_features::event::{Attributes, Event, InteractionEvent, RequestEvent};

/// When to derive a request; interactions that name a request are left alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "when", rename_all = "lowercase", deny_unknown_fields)]
pub enum Derived {
    /// At every interaction with an item that the user has interacted with at an earlier time.
    Repeat {},
    /// At the first interaction of each user; it answers the first `interactions` of them.
    First {
        /// How many interactions belong to the request.
        interactions: u32,
    },
}

impl Derived {
    /// Adds requests to events, which must be in time order.
    pub(super) fn derive(&self, events: Vec<Event>, surface: &str) -> Vec<Event> {
        let mut seen = Seen::default();
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            let Event::Interaction(mut interaction) = event else {
                all.push(event);
                continue;
            };
            if interaction.request.is_none() {
                let request = match self {
                    Derived::Repeat {} => seen.repeat(&interaction),
                    Derived::First { interactions } => seen.first(&interaction, *interactions),
                };
                if request.as_ref() == Some(&interaction.id) {
                    all.push(Event::Request(request_of(&interaction, surface)));
                }
                interaction.request = request;
            }
            all.push(Event::Interaction(interaction));
        }
        all
    }
}

/// What each user did so far.
#[derive(Default)]
struct Seen {
    first_ts: HashMap<(String, String), i64>,
    requests: HashMap<String, (String, u32)>,
}

impl Seen {
    fn repeat(&mut self, e: &InteractionEvent) -> Option<String> {
        let first = *self.first_ts.entry((e.user.clone(), e.item.clone())).or_insert(e.ts);
        (first < e.ts).then(|| e.id.clone())
    }

    fn first(&mut self, e: &InteractionEvent, interactions: u32) -> Option<String> {
        let (request, count) = self.requests.entry(e.user.clone()).or_insert_with(|| (e.id.clone(), 0));
        *count = count.saturating_add(1);
        (*count <= interactions).then(|| request.clone())
    }
}

fn request_of(e: &InteractionEvent, surface: &str) -> RequestEvent {
    RequestEvent {
        id: e.id.clone(),
        ts: e.ts,
        offset_min: e.offset_min.unwrap_or(0),
        user: e.user.clone(),
        surface: surface.to_owned(),
        attributes: Attributes::new(),
        context: Attributes::new(),
        candidates: Vec::new(),
        exclude: Vec::new(),
    }
}
