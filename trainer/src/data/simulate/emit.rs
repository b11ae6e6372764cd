//! Events of the model's facts, and their order.

use std::collections::BTreeMap;

use shared_features::event::{Attributes, Candidate, Event, FieldValue, ItemEvent, RequestEvent, UserEvent};

use super::constants::*;
use super::world::{Item, Moment, User};
use super::{DAY_MS, EPOCH_MS};

/// An event that waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Order among events of the same time: the catalogue first, then users by index, each in the order of acting.
    pub(super) order: (u32, u64),
    pub(super) event: Event,
    /// True relevance by item, of a request.
    pub(super) relevance: Vec<(String, f64)>,
}

/// The catalogue's place in the order.
pub(super) const CATALOGUE: u32 = 0;

fn text(value: &str) -> Option<FieldValue> {
    Some(FieldValue::String(value.to_owned()))
}

fn number(value: f64) -> Option<FieldValue> {
    Some(FieldValue::Number(value))
}

fn attributes<const N: usize>(fields: [(&str, Option<FieldValue>); N]) -> Attributes {
    let known = fields.into_iter().filter(|(_, value)| value.is_some());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// When an item's event is due: at publication, and for a show at each new episode.
pub(super) fn item_times(item: &Item, days: u32) -> Vec<i64> {
    let end = EPOCH_MS + i64::from(days) * DAY_MS;
    let mut times = vec![item.published_ms];
    if let Some((first, every)) = item.episodes {
        let mut next = first;
        while next < end {
            if next > item.published_ms {
                times.push(next);
            }
            next += every;
        }
    }
    times
}

/// The attributes of an item from `ts` on.
pub(super) fn item_event(item: &Item, ts: i64) -> Event {
    let tags = vec![GENRES[item.genre].to_owned(), GENRES[item.second].to_owned()];
    Event::Item(ItemEvent {
        id: item.id.clone(),
        ts,
        attributes: attributes([
            ("kind", text(if item.is_show() { "show" } else { "playlist" })),
            ("category", text(GENRES[item.genre])),
            ("tags", Some(FieldValue::Strings(tags))),
            ("language", text(LANGUAGES[item.language])),
            ("publisher", item.is_show().then(|| FieldValue::String(format!("publisher-{:02}", item.publisher)))),
            ("mood", item.mood.and_then(|mood| text(MOODS[mood]))),
            ("country", item.country.and_then(|country| text(COUNTRIES[country]))),
            ("duration_min", number(item.duration_min)),
            ("released", number(item.released_ms as f64)),
            ("newest_episode", item.newest_episode_ms(ts).and_then(|newest| number(newest as f64))),
        ]),
    })
}

fn user_attributes(user: &User) -> Attributes {
    attributes([
        ("country", text(COUNTRIES[user.country])),
        ("age", text(AGES[user.age])),
        ("channel", text(CHANNELS[user.channel])),
        ("language", text(LANGUAGES[user.language])),
    ])
}

/// The attributes of a user, from sign-up on.
pub(super) fn user_event(user: &User, ts: i64) -> Event {
    Event::User(UserEvent { id: user.id.clone(), ts, attributes: user_attributes(user) })
}

/// A request for a surface.
pub(super) fn request_event(
    id: &str,
    user: &User,
    surface: &str,
    now: &Moment,
    items: &[Item],
    candidates: &[usize],
) -> Event {
    let candidate = |&index: &usize| Candidate { item: items[index].id.clone(), fields: BTreeMap::new() };
    Event::Request(RequestEvent {
        id: id.to_owned(),
        ts: now.ts,
        offset_min: now.offset_min,
        user: user.id.clone(),
        surface: surface.to_owned(),
        attributes: user_attributes(user),
        context: attributes([("device", text(DEVICES[now.device]))]),
        candidates: candidates.iter().map(candidate).collect(),
        exclude: Vec::new(),
    })
}
