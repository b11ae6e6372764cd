//! One user's days: visits to the Home and organic listens, and the events they leave.
//!
//! Visits of one user are at least an hour apart and organic listens belong to no request,
//! so that nothing but what was done on a slate falls into the 30 minutes after it was shown.

use shared_features::event::{Event, ImpressionEvent, InteractionEvent, Shown};

use super::behaviour::{self, History};
use super::constants::*;
use super::emit::{self, Made};
use super::policy::{self, Slate};
use super::rng::{Draws, sigmoid, softmax_weights};
use super::world::{Item, Moment, User, daypart};
use super::{DAY_MS, EPOCH_MS, HOUR_MS, World};

/// The surfaces, as requests name them.
pub(super) const PODCASTS: &str = "podcasts";
pub(super) const SHORTCUTS: &str = "shortcuts";
pub(super) const PLAYLISTS: &str = "playlists";

/// A user on the way through the simulation.
pub(super) struct Visitor<'w> {
    world: &'w World,
    items: &'w [Item],
    user: &'w User,
    index: u32,
    history: History,
    signed_up: bool,
    made: u64,
}

/// A listen or a skip.
struct Act<'a> {
    item: usize,
    action: &'a str,
    /// The surface and its request.
    on: Option<(&'a str, &'a str)>,
    completion: f64,
}

impl<'w> Visitor<'w> {
    pub(super) fn new(world: &'w World, items: &'w [Item], user: &'w User, index: u32) -> Visitor<'w> {
        Visitor { world, items, user, index, history: History::new(), signed_up: false, made: 0 }
    }

    /// Everything this user does on a local day.
    pub(super) fn day(&mut self, day: u32, out: &mut Vec<Made>) {
        if day < self.user.first_day {
            return;
        }
        let draws = &mut Draws::new(self.world.seed, "day", &[u64::from(self.index), u64::from(day)]);
        let first_visit = self.user.new && day == self.user.first_day;
        if !draws.chance(self.user.activity) && !first_visit {
            return;
        }
        let mut hours = vec![5 + draws.weighted(&HOUR_SHARE)];
        if draws.chance(0.5) {
            let second = 5 + draws.weighted(&HOUR_SHARE);
            if second.abs_diff(hours[0]) >= 2 {
                hours.push(second);
                hours.sort_unstable();
            }
        }
        for (visit, hour) in hours.into_iter().enumerate() {
            let offset_min = OFFSET_MIN[self.user.country];
            let within = (draws.uniform() * HOUR_MS as f64) as i64;
            let local = i64::from(day) * DAY_MS + hour as i64 * HOUR_MS + within;
            let now = Moment {
                ts: EPOCH_MS + local - i64::from(offset_min) * 60_000,
                offset_min,
                device: draws.weighted(&DAYPART_DEVICE[daypart(hour as u32)]),
            };
            if !self.signed_up {
                self.signed_up = true;
                self.push(out, emit::user_event(self.user, now.ts), Vec::new());
            }
            if first_visit && visit == 0 {
                self.welcome(now, out, draws);
            } else if draws.chance(CONSTANTS.home) {
                self.home(now, out, draws);
            } else {
                self.organic(now, out, draws);
            }
        }
    }

    /// A new user's first visit: two shelves of playlists, both asked for before anything is played.
    fn welcome(&mut self, now: Moment, out: &mut Vec<Made>, draws: &mut Draws) {
        let mut seen: Vec<usize> = Vec::new();
        let mut slates = Vec::new();
        for shelf in 0..2 {
            let at = Moment { ts: now.ts + 1 + shelf * 15_000, ..now };
            if let Some((request, candidates, slate)) = self.ask(PLAYLISTS, at, &seen, out, draws) {
                seen.extend(candidates);
                slates.push((request, slate));
            }
        }
        for (shelf, (request, slate)) in slates.into_iter().enumerate() {
            let at = Moment { ts: now.ts + 40_000 + shelf as i64 * 120_000, ..now };
            self.browse(PLAYLISTS, &request, &slate, at, out, draws);
        }
    }

    /// A visit to the Home; shortcuts once there is enough that is familiar.
    fn home(&mut self, now: Moment, out: &mut Vec<Made>, draws: &mut Draws) {
        let familiar = self.history.values().filter(|past| !past.plays.is_empty()).count();
        if familiar >= CONSTANTS.shortcuts_from && draws.chance(CONSTANTS.shortcuts) {
            return self.shortcuts(now, out, draws);
        }
        let surface = if familiar < 3 && draws.chance(0.5) { PLAYLISTS } else { PODCASTS };
        let Some((request, _, slate)) = self.ask(surface, now, &[], out, draws) else { return };
        self.browse(surface, &request, &slate, Moment { ts: now.ts + 3_000, ..now }, out, draws);
    }

    /// Asks for a shelf and shows it; relevance is that of every candidate. `None` where there is nothing to ask for.
    fn ask(
        &mut self,
        surface: &'static str,
        now: Moment,
        without: &[usize],
        out: &mut Vec<Made>,
        draws: &mut Draws,
    ) -> Option<(String, Vec<usize>, Slate)> {
        let eligible = policy::Eligible { playlists: surface == PLAYLISTS, without };
        let (world, items) = (self.world, self.items);
        let candidates = policy::recall(world, self.user, items, &self.history, &now, eligible, draws);
        if candidates.is_empty() {
            return None;
        }
        let relevance = candidates.iter().map(|&index| {
            let relevance = if world.null {
                CONSTANTS.null_listen
            } else {
                behaviour::relevance(behaviour::want(self.user, &items[index], self.history.get(&index), &now))
            };
            (items[index].id.clone(), relevance)
        });
        let relevance = relevance.collect();
        let slate = policy::show(world, items, &self.history, &candidates, CONSTANTS.shelf, draws);
        let request = self.id("r");
        self.push(out, emit::request_event(&request, self.user, surface, &now, items, &candidates), relevance);
        self.impress(&request, &now, &slate, out);
        Some((request, candidates, slate))
    }

    /// Goes through a shelf from the top: examines, listens, skips, endorses.
    fn browse(
        &mut self,
        surface: &str,
        request: &str,
        slate: &Slate,
        mut now: Moment,
        out: &mut Vec<Made>,
        draws: &mut Draws,
    ) {
        for (position, &(index, _)) in slate.iter().enumerate() {
            now.ts += 1_000 + (draws.uniform() * 5_000.0) as i64;
            // The same draws whatever happens, so that what happens at one place moves no other.
            let (examines, listens, endorses, skips) =
                (draws.uniform(), draws.uniform(), draws.uniform(), draws.uniform());
            let completion = draws.uniform();
            if examines >= 1.0 / (1.0 + CONSTANTS.bias * position as f64) {
                continue;
            }
            let want = behaviour::want(self.user, &self.items[index], self.history.get(&index), &now);
            let (listen, endorse) = if self.world.null {
                (CONSTANTS.null_listen, 0.0)
            } else {
                (sigmoid(want), behaviour::endorsement(want))
            };
            let on = Some((surface, request));
            if listens < listen {
                let completion = libm::sqrt(completion) * sigmoid(want + 2.0);
                self.act(Act { item: index, action: "play", on, completion }, now, out);
                if endorses < endorse {
                    let past = self.history.entry(index).or_default();
                    let action = if self.items[index].is_show() && !past.endorsed { "follow" } else { "like" };
                    past.endorsed = true;
                    let later = Moment { ts: now.ts + 500, ..now };
                    self.act(Act { item: index, action, on, completion: 0.0 }, later, out);
                }
            } else if skips < CONSTANTS.skip {
                self.act(Act { item: index, action: "skip", on, completion: completion * 0.05 }, now, out);
            }
        }
    }

    /// A visit for something familiar: one item is wanted, and played where the grid has it and it is seen.
    fn shortcuts(&mut self, now: Moment, out: &mut Vec<Made>, draws: &mut Draws) {
        let (world, items) = (self.world, self.items);
        let probabilities = behaviour::familiar(self.user, items, &self.history, &now);
        let all: Vec<usize> = self.history.keys().copied().collect();
        let played: Vec<usize> = all.iter().copied().filter(|i| !self.history[i].plays.is_empty()).collect();
        let slate = policy::show(world, items, &self.history, &played, CONSTANTS.grid, draws);
        let flat = 1.0 / all.len() as f64;
        let truth = |(&index, &p): (&usize, &f64)| (items[index].id.clone(), if world.null { flat } else { p });
        let relevance = all.iter().zip(&probabilities).map(truth).collect();
        let request = self.id("r");
        self.push(out, emit::request_event(&request, self.user, SHORTCUTS, &now, items, &[]), relevance);
        self.impress(&request, &now, &slate, out);

        let place = if world.null {
            Some(draws.below(slate.len()))
        } else {
            let wanted = all[draws.weighted(&probabilities)];
            slate.iter().position(|&(index, _)| index == wanted)
        };
        let sees = draws.uniform();
        let Some(place) = place.filter(|&k| sees < 1.0 / (1.0 + CONSTANTS.grid_bias * k as f64)) else { return };
        let later = Moment { ts: now.ts + 2_000 + (draws.uniform() * 20_000.0) as i64, ..now };
        let completion = draws.between(0.4, 1.0);
        self.act(Act { item: slate[place].0, action: "play", on: Some((SHORTCUTS, &request)), completion }, later, out);
    }

    /// One to three listens that start from a search, a link or a queue.
    fn organic(&mut self, mut now: Moment, out: &mut Vec<Made>, draws: &mut Draws) {
        for _ in 0..1 + draws.below(3) {
            let item = if !self.history.is_empty() && draws.chance(CONSTANTS.repeat) {
                let probabilities = behaviour::familiar(self.user, self.items, &self.history, &now);
                self.history.keys().copied().nth(draws.weighted(&probabilities))
            } else {
                self.discover(&now, draws)
            };
            let Some(item) = item else { return };
            let completion = draws.between(0.2, 1.0);
            self.act(Act { item, action: "play", on: None, completion }, now, out);
            now.ts += (draws.between(8.0, 20.0) * 60_000.0) as i64;
        }
    }

    /// The most wanted, more or less, of some published shows that friends, charts or a search bring up.
    fn discover(&self, now: &Moment, draws: &mut Draws) -> Option<usize> {
        let shows = self.items.iter().filter(|item| item.is_show()).count();
        let seen: Vec<usize> = (0..24.min(shows)).map(|_| draws.below(shows)).collect();
        let seen: Vec<usize> = seen.into_iter().filter(|&i| self.items[i].published_ms <= now.ts).collect();
        let wants: Vec<f64> =
            seen.iter().map(|&i| behaviour::want(self.user, &self.items[i], self.history.get(&i), now)).collect();
        (!seen.is_empty()).then(|| seen[draws.weighted(&softmax_weights(&wants, 1.0))])
    }

    fn act(&mut self, act: Act, now: Moment, out: &mut Vec<Made>) {
        let item = &self.items[act.item];
        let past = self.history.entry(act.item).or_default();
        let heard = matches!(act.action, "play" | "skip");
        if act.action == "play" {
            past.plays.push(now.ts);
        }
        let event = Event::Interaction(InteractionEvent {
            id: self.id("i"),
            ts: now.ts,
            offset_min: Some(now.offset_min),
            user: self.user.id.clone(),
            item: item.id.clone(),
            action: act.action.to_owned(),
            surface: act.on.map(|(surface, _)| surface.to_owned()),
            request: act.on.map(|(_, request)| request.to_owned()),
            dwell_ms: heard.then(|| libm::round(act.completion * item.duration_min * 60_000.0)),
            completion: heard.then_some(act.completion),
        });
        self.push(out, event, Vec::new());
    }

    fn impress(&mut self, request: &str, now: &Moment, slate: &Slate, out: &mut Vec<Made>) {
        let shown = slate.iter().zip(0..).map(|(&(index, propensity), position)| Shown {
            item: self.items[index].id.clone(),
            position,
            propensity: Some(propensity),
        });
        let shown = shown.collect();
        let event = Event::Impression(ImpressionEvent {
            id: self.id("m"),
            ts: now.ts + 300,
            request: request.to_owned(),
            shown,
        });
        self.push(out, event, Vec::new());
    }

    /// A new id; the next event takes the next number.
    fn id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{:05}-{}", self.index, self.made)
    }

    fn push(&mut self, out: &mut Vec<Made>, event: Event, relevance: Vec<(String, f64)>) {
        self.made += 1;
        out.push(Made { order: (self.index + 1, self.made), event, relevance });
    }
}
