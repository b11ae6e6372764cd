//! One statistic, folded forward over its hits: the state at a time depends on that time only.

use foldhash::{HashMap, HashMapExt};
use shared_features::numeric::{self, MISSING};
use shared_features::spec::{Counted, Statistic};

use super::{Hit, Hits};

/// Half-lives in a block; within a block, weights stay far inside the range of `f64`.
const BLOCK: i64 = 512;

/// A statistic's state at a time.
#[derive(Debug)]
pub(super) struct Fold<'s> {
    hits: &'s [Hit],
    min_users: u32,
    items: usize,
    segments: usize,
    by_segment: bool,
    kind: Values,
    window_ms: Option<i64>,
    as_of: i64,
    /// The hits in the window: `from..to`.
    from: usize,
    to: usize,
    /// Row-major `[segments, items]`.
    cells: Vec<Cell>,
    users: HashMap<(u32, u32), u32>,
    segment_users: Vec<u32>,
    users_of_segment: HashMap<(u32, u32), u32>,
}

/// How values follow from the state.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// The number of hits.
    Count,
    /// The number of distinct users.
    Users,
    /// The decayed sum that is kept in each cell; the half-life in milliseconds.
    Decayed(i64),
    /// A decayed sum over a window, or over each user's newest hit, computed anew every time.
    Computed { half_life_ms: i64, newest_of_user: bool },
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    count: u64,
    users: u32,
    /// The block that `sum` is scaled to: each hit weighs `2^((ts - block start) / half_life)`.
    block: i64,
    sum: f64,
}

impl<'s> Fold<'s> {
    pub(super) fn new(statistic: &Statistic, counted: &'s Hits, items: usize, min_users: u32) -> Fold<'s> {
        let newest_of_user = statistic.count == Counted::Users;
        let kind = match (statistic.half_life, statistic.window) {
            (None, _) if newest_of_user => Values::Users,
            (None, _) => Values::Count,
            (Some(half_life), None) if !newest_of_user => Values::Decayed(half_life.ms.max(1)),
            (Some(half_life), _) => Values::Computed { half_life_ms: half_life.ms.max(1), newest_of_user },
        };
        let segments = counted.segments.len();
        Fold {
            hits: &counted.hits,
            min_users,
            items,
            segments,
            by_segment: statistic.by.is_some(),
            kind,
            window_ms: statistic.window.map(|w| w.ms),
            as_of: i64::MIN,
            from: 0,
            to: 0,
            cells: vec![Cell::default(); segments * items],
            users: HashMap::new(),
            segment_users: vec![0; segments],
            users_of_segment: HashMap::new(),
        }
    }

    /// Folds the hits before `as_of`, which is never earlier than the time before.
    pub(super) fn advance(&mut self, as_of: i64) {
        self.as_of = as_of;
        while let Some(hit) = self.hits.get(self.to).filter(|hit| hit.ts < as_of) {
            self.enter(hit);
            self.to += 1;
        }
        let Some(window_ms) = self.window_ms else { return };
        let oldest = as_of.saturating_sub(window_ms);
        while let Some(hit) = self.hits.get(self.from).filter(|hit| self.from < self.to && hit.ts < oldest) {
            self.leave(hit);
            self.from += 1;
        }
    }

    fn enter(&mut self, hit: &Hit) {
        let at = self.at(hit);
        self.cells[at].count += 1;
        if let Values::Decayed(half_life_ms) = self.kind {
            self.cells[at].add(hit.ts, half_life_ms);
        }
        let Some(user) = hit.user else { return };
        let times = self.users.entry((at as u32, user)).or_insert(0);
        *times += 1;
        self.cells[at].users += u32::from(*times == 1);
        let times = self.users_of_segment.entry((hit.segment, user)).or_insert(0);
        *times += 1;
        self.segment_users[hit.segment as usize] += u32::from(*times == 1);
    }

    fn leave(&mut self, hit: &Hit) {
        let at = self.at(hit);
        self.cells[at].count -= 1;
        let Some(user) = hit.user else { return };
        self.cells[at].users -= u32::from(forget(&mut self.users, (at as u32, user)));
        let gone = forget(&mut self.users_of_segment, (hit.segment, user));
        self.segment_users[hit.segment as usize] -= u32::from(gone);
    }

    /// The segments that are in the snapshot, each with a value for every item.
    pub(super) fn values(&self) -> Vec<(u32, Vec<f32>)> {
        let computed = match self.kind {
            Values::Computed { half_life_ms, newest_of_user } => self.compute(half_life_ms, newest_of_user),
            _ => Vec::new(),
        };
        let of = |at: usize| {
            let cell = &self.cells[at];
            let x = match self.kind {
                Values::Count => cell.count as f64,
                Values::Users => f64::from(cell.users),
                Values::Decayed(half_life_ms) => cell.decayed(self.as_of, half_life_ms),
                Values::Computed { .. } => computed[at],
            };
            if cell.count == 0 || cell.users < self.min_users { MISSING } else { numeric::store(x) }
        };
        let kept = |segment: &usize| {
            let users = self.segment_users[*segment];
            !self.by_segment || (users >= self.min_users && users > 0)
        };
        let row = |segment: usize| (segment * self.items..(segment + 1) * self.items).map(of).collect();
        (0..self.segments).filter(kept).map(|segment| (segment as u32, row(segment))).collect()
    }

    fn compute(&self, half_life_ms: i64, newest_of_user: bool) -> Vec<f64> {
        let hits = &self.hits[self.from..self.to];
        let mut newest: HashMap<(usize, Option<u32>), usize> = HashMap::new();
        if newest_of_user {
            newest.extend(hits.iter().enumerate().map(|(k, hit)| ((self.at(hit), hit.user), k)));
        }
        let mut sums = vec![0.0; self.cells.len()];
        for (k, hit) in hits.iter().enumerate() {
            let at = self.at(hit);
            if !newest_of_user || newest.get(&(at, hit.user)) == Some(&k) {
                sums[at] += libm::exp2(-(self.as_of.saturating_sub(hit.ts) as f64 / half_life_ms as f64));
            }
        }
        sums
    }

    fn at(&self, hit: &Hit) -> usize {
        hit.segment as usize * self.items + hit.item as usize
    }
}

impl Cell {
    /// Adds a hit; hits come in time order.
    fn add(&mut self, ts: i64, half_life_ms: i64) {
        let block = ts.div_euclid(half_life_ms.saturating_mul(BLOCK));
        self.sum = self.scaled_to(block) + weight(ts, block, half_life_ms);
        self.block = block;
    }

    /// The sum of `2^(-age / half_life)` at a time that is not before the newest hit.
    fn decayed(&self, as_of: i64, half_life_ms: i64) -> f64 {
        let block = as_of.div_euclid(half_life_ms.saturating_mul(BLOCK));
        self.scaled_to(block) / weight(as_of, block, half_life_ms)
    }

    /// The sum against a later block; a power of two, so that nothing but a vanishing sum is rounded.
    fn scaled_to(&self, block: i64) -> f64 {
        let blocks = block.saturating_sub(self.block).clamp(0, 3);
        self.sum * libm::exp2(-((blocks * BLOCK) as f64))
    }
}

/// `2^((ts - block start) / half_life)`, from 1 to `2^BLOCK`.
fn weight(ts: i64, block: i64, half_life_ms: i64) -> f64 {
    let start = block.saturating_mul(half_life_ms.saturating_mul(BLOCK));
    libm::exp2(ts.saturating_sub(start) as f64 / half_life_ms as f64)
}

/// Takes one away; whether none is left.
fn forget(counts: &mut HashMap<(u32, u32), u32>, key: (u32, u32)) -> bool {
    let Some(times) = counts.get_mut(&key) else { return false };
    *times -= 1;
    let gone = *times == 0;
    if gone {
        counts.remove(&key);
    }
    gone
}
