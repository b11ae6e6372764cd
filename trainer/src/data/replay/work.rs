//! What a replay has to do: which requests are answered with which snapshot, and how many at the same time.

use std::collections::{BTreeMap, BTreeSet};

use shared_features::digest::Digest;
use shared_features::event::{Attributes, Event, RequestEvent};

use super::ReplayError;
use crate::data::raw_requests::Answers;
use crate::data::shard::Shard;
use crate::data::tables::Snapshots;

/// Most snapshots that are answered at the same time, and most requests, but for those of a single snapshot.
pub(super) const SNAPSHOTS_AT_ONCE: usize = 8;
const REQUESTS_AT_ONCE: usize = 4_096;

/// A request with its place in the order of the data.
pub(super) struct Pending<'a> {
    pub(super) order: usize,
    pub(super) event: &'a RequestEvent,
    pub(super) attributes: Option<&'a Attributes>,
}

/// What is to be answered, in order.
#[derive(Default)]
pub(super) struct Work<'a> {
    /// Requests that are answered with one snapshot.
    pub(super) groups: Vec<Vec<Pending<'a>>>,
    /// How many groups are answered at the same time, from the first on; later parts have later requests.
    pub(super) parts: Vec<usize>,
    /// The snapshots of the groups.
    pub(super) wanted: Wanted,
}

/// Which snapshots are answered with.
pub(super) enum Wanted {
    /// Made of the events up to a time.
    Made(Vec<i64>),
    /// Those that edges had.
    Logged(Vec<Digest>),
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted::Made(Vec::new())
    }
}

impl<'a> Work<'a> {
    /// Each request with the snapshot that the spec's `[tables]` has for its time.
    pub(super) fn as_made(pending: Vec<Pending<'a>>, snapshots: &Snapshots) -> Work<'a> {
        let mut by_snapshot: BTreeMap<i64, Vec<Pending>> = BTreeMap::new();
        for request in pending {
            by_snapshot.entry(snapshots.as_of_for(request.event.ts)).or_default().push(request);
        }
        let (times, groups): (Vec<i64>, Vec<Vec<Pending>>) = by_snapshot.into_iter().unzip();
        let size = |requests: &Vec<Pending>| requests.len().max(REQUESTS_AT_ONCE / SNAPSHOTS_AT_ONCE);
        let parts = neighbours(&groups, REQUESTS_AT_ONCE, size).into_iter().map(<[_]>::len).collect();
        Work { groups, parts, wanted: Wanted::Made(times) }
    }

    /// Each request with the snapshot that it was answered with.
    pub(super) fn as_logged(pending: Vec<Pending<'a>>, answers: &Answers) -> Work<'a> {
        let mut work = Work::default();
        let mut wanted = Vec::new();
        let mut part: BTreeMap<Digest, Vec<Pending>> = BTreeMap::new();
        let mut pending = pending.into_iter().filter_map(|p| Some((answers.of(p.event)?.tables, p))).peekable();
        let mut size = 0;
        while let Some((tables, request)) = pending.next() {
            part.entry(tables).or_default().push(request);
            size += 1;
            if size == REQUESTS_AT_ONCE || part.len() == SNAPSHOTS_AT_ONCE || pending.peek().is_none() {
                work.parts.push(part.len());
                let (digests, groups): (Vec<Digest>, Vec<Vec<Pending>>) = std::mem::take(&mut part).into_iter().unzip();
                wanted.extend(digests);
                work.groups.extend(groups);
                size = 0;
            }
        }
        work.wanted = Wanted::Logged(wanted);
        work
    }
}

impl Wanted {
    /// How many different ones.
    pub(super) fn count(&self) -> u64 {
        match self {
            Wanted::Made(times) => times.len() as u64,
            Wanted::Logged(digests) => digests.iter().collect::<BTreeSet<_>>().len() as u64,
        }
    }
}

/// The requests of a surface, of the users of a shard, each with what is known of its user.
///
/// # Errors
/// The data has none of the surface.
pub(super) fn pending<'a>(events: &'a [Event], surface: &str, shard: Shard) -> Result<Vec<Pending<'a>>, ReplayError> {
    let mut attributes: BTreeMap<&str, &Attributes> = BTreeMap::new();
    let mut surfaces: BTreeMap<&str, u64> = BTreeMap::new();
    let mut pending = Vec::new();
    for (order, event) in events.iter().enumerate() {
        match event {
            Event::User(user) => {
                attributes.insert(&user.id, &user.attributes);
            }
            Event::Request(request) => {
                *surfaces.entry(&request.surface).or_default() += 1;
                if request.surface == surface && shard.has(&request.user) {
                    let attributes = attributes.get(request.user.as_str()).copied();
                    pending.push(Pending { order, event: request, attributes });
                }
            }
            _ => {}
        }
    }
    if pending.is_empty() {
        let known: Vec<&str> = surfaces.into_keys().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ReplayError::NoRequests { surface: surface.to_owned(), known });
    }
    Ok(pending)
}

/// Neighbours together, up to a size; what is larger stands alone.
pub(super) fn neighbours<T>(all: &[T], most: usize, size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut together = Vec::new();
    let (mut from, mut sum) = (0, 0);
    for (at, one) in all.iter().enumerate() {
        if at > from && sum + size(one) > most {
            together.push(&all[from..at]);
            (from, sum) = (at, 0);
        }
        sum += size(one);
    }
    if from < all.len() {
        together.push(&all[from..]);
    }
    together
}

#[cfg(test)]
mod tests {
    use super::neighbours;

    #[test]
    fn neighbours_are_together_up_to_a_size() {
        let together =
            |all: &[usize]| neighbours(all, 10, |n| *n).into_iter().map(<[usize]>::to_vec).collect::<Vec<_>>();
        assert_eq!(together(&[5, 5, 1, 12, 3, 7, 1]), [vec![5, 5], vec![1], vec![12], vec![3, 7], vec![1]]);
        assert!(together(&[]).is_empty());
    }
}
