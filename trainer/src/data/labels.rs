//! Labels: what was shown for a request, and the highest grade of what was done with it in time.
//!
//! An interaction that names its request belongs to it; one that names none belongs to the last request before it
//! that had shown the item to the user (last touch), on the same surface where the interaction names one;
//! or to the first whose window it is in, where the spec says `touch = "first"`.
//! [`super::build`] does the same to logs that may be larger than memory; a test holds it to this.
//! Nothing after a request's window changes its labels.

use std::collections::HashMap;

use shared_features::event::{Event, RequestEvent};
use shared_features::spec::{Label, Touch};

/// Where a shown item stood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// From 0.
    pub position: u32,
    /// Probability of this item at this position given those above; `None` where it was not logged.
    pub propensity: Option<f64>,
}

/// Everything that labels rows, by request.
#[derive(Debug)]
pub struct Labels<'e> {
    assume_shown: bool,
    window_ms: i64,
    requests: HashMap<&'e str, Outcome<'e>>,
}

/// What is known about one request.
#[derive(Debug, Default)]
struct Outcome<'e> {
    asked: Option<&'e RequestEvent>,
    /// In the order of the impressions: their time, the item, its place.
    shown: Vec<(i64, &'e str, Placement)>,
    /// Time, item and grade of interactions.
    done: Vec<(i64, &'e str, u32)>,
}

/// The requests that had shown an item to a user; for the last touch one of each surface.
type Touches<'e> = HashMap<(&'e str, &'e str), Vec<Touched<'e>>>;

#[derive(Clone, Copy, Debug)]
struct Touched<'e> {
    /// Place of the event that showed it.
    order: usize,
    surface: &'e str,
    request: &'e str,
    /// The request's time.
    asked: i64,
}

impl<'e> Labels<'e> {
    /// Indexes the events, which must be in time order.
    pub fn new(label: &Label, events: &'e [Event]) -> Labels<'e> {
        let mut requests: HashMap<&str, Outcome> = HashMap::new();
        let mut touched: Touches = unattributed(label, events);
        // Where candidates are not in the event, everything may have been shown.
        let mut anything: HashMap<&str, Vec<Touched>> = HashMap::new();
        for (order, event) in events.iter().enumerate() {
            match event {
                Event::Item(_) | Event::User(_) => {}
                Event::Request(request) => {
                    let outcome = requests.entry(&request.id).or_default();
                    outcome.asked.get_or_insert(request);
                    if !label.assume_shown {
                        continue;
                    }
                    let touch = Touched { order, surface: &request.surface, request: &request.id, asked: request.ts };
                    for candidate in &request.candidates {
                        touched.entry((&request.user, &candidate.item)).and_modify(|all| add(all, touch, label.touch));
                    }
                    if request.candidates.is_empty() {
                        add(anything.entry(&request.user).or_default(), touch, label.touch);
                    }
                }
                Event::Impression(impression) => {
                    let outcome = requests.entry(&impression.request).or_default();
                    for shown in &impression.shown {
                        let placement = Placement { position: shown.position, propensity: shown.propensity };
                        outcome.shown.push((impression.ts, &shown.item, placement));
                    }
                    let Some(asked) = outcome.asked else { continue };
                    let touch = Touched { order, surface: &asked.surface, request: &asked.id, asked: asked.ts };
                    for shown in &impression.shown {
                        touched.entry((&asked.user, &shown.item)).and_modify(|all| add(all, touch, label.touch));
                    }
                }
                Event::Interaction(e) => {
                    let grade = label.grade(&e.action);
                    if grade == 0 {
                        continue;
                    }
                    let touch = || {
                        let named = touched.get(&(e.user.as_str(), e.item.as_str())).into_iter().flatten();
                        let all = named.chain(anything.get(e.user.as_str()).into_iter().flatten());
                        let here = all.filter(|t| e.surface.as_deref().is_none_or(|s| s == t.surface));
                        let found = match label.touch {
                            Touch::Last => here.max_by_key(|t| t.order),
                            Touch::First => {
                                let open = |t: &&Touched| e.ts <= t.asked.saturating_add(label.window.ms);
                                here.filter(open).min_by_key(|t| t.order)
                            }
                        };
                        found.map(|t| t.request)
                    };
                    if let Some(request) = e.request.as_deref().or_else(touch) {
                        requests.entry(request).or_default().done.push((e.ts, &e.item, grade));
                    }
                }
            }
        }
        Labels { assume_shown: label.assume_shown, window_ms: label.window.ms, requests }
    }

    /// A grade for each item of a request made at `ts`; 0 where nothing was done, `None` where it was not shown.
    pub fn grades(&self, request: &str, ts: i64, items: &[String]) -> Vec<Option<u32>> {
        let end = ts.saturating_add(self.window_ms);
        let outcome = self.requests.get(request);
        let shown: Vec<&str> = self.shown(request, ts).map(|(item, _)| item).collect();
        let all = shown.is_empty() && self.assume_shown;
        let grade = |item: &String| {
            let done = outcome.iter().flat_map(|o| &o.done);
            let counts = done.filter(|(at, of, _)| of == item && (ts..=end).contains(at));
            counts.map(|(_, _, grade)| *grade).max().unwrap_or(0)
        };
        items.iter().map(|item| (all || shown.contains(&item.as_str())).then(|| grade(item))).collect()
    }

    /// Where an item stood in the answer to a request made at `ts`; `None` where it was not shown.
    ///
    /// Where items are only assumed to be shown, they stand in the order of the request's candidates.
    pub fn placement(&self, request: &str, ts: i64, item: &str) -> Option<Placement> {
        let mut shown = self.shown(request, ts).peekable();
        if shown.peek().is_none() && self.assume_shown {
            let candidates = &self.requests.get(request)?.asked?.candidates;
            let position = candidates.iter().position(|c| c.item == item)? as u32;
            return Some(Placement { position, propensity: None });
        }
        shown.find(|(shown, _)| *shown == item).map(|(_, placement)| placement)
    }

    /// Whether no later event can change the labels of a request made at `ts`, where the data end at `end`.
    pub fn window_closed(&self, ts: i64, end: i64) -> bool {
        ts.saturating_add(self.window_ms) <= end
    }

    /// What impressions within the window say was shown.
    fn shown(&self, request: &str, ts: i64) -> impl Iterator<Item = (&'e str, Placement)> {
        let end = ts.saturating_add(self.window_ms);
        let shown = self.requests.get(request).into_iter().flat_map(|o| &o.shown);
        shown.filter(move |(at, _, _)| *at <= end).map(|(_, item, placement)| (*item, *placement))
    }
}

/// An empty entry for each user and item of an interaction that names no request.
fn unattributed<'e>(label: &Label, events: &'e [Event]) -> Touches<'e> {
    let interactions = events.iter().filter_map(|event| match event {
        Event::Interaction(e) if e.request.is_none() && label.grade(&e.action) > 0 => Some(e),
        _ => None,
    });
    interactions.map(|e| ((e.user.as_str(), e.item.as_str()), Vec::new())).collect()
}

/// Adds a touch; of those that count as the last, one a surface is enough.
fn add<'e>(all: &mut Vec<Touched<'e>>, new: Touched<'e>, which: Touch) {
    match all.iter_mut().find(|t| which == Touch::Last && t.surface == new.surface) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

#[cfg(test)]
mod tests;
