use std::collections::{BTreeMap, BTreeSet};

use shared_features::digest::Digest;

use super::*;

const SMALL: World = World { users: 200, items: 120, days: 21, seed: 11, null: false };

struct Simulated {
    events: Vec<Event>,
    relevance: BTreeMap<String, BTreeMap<String, f64>>,
    summary: Summary,
}

fn run(world: World) -> Simulated {
    let (mut events, mut relevance) = (Vec::new(), BTreeMap::<String, BTreeMap<String, f64>>::new());
    let mut sink = |event| {
        events.push(event);
        Ok(())
    };
    let mut oracle = |r: Relevance| {
        relevance.entry(r.request).or_default().insert(r.item, r.relevance);
        Ok(())
    };
    let summary = simulate(&world, &|_, _| {}, &mut sink, &mut oracle).unwrap();
    Simulated { events, relevance, summary }
}

fn digest(simulated: &Simulated) -> Digest {
    let mut bytes = serde_json::to_vec(&simulated.events).unwrap();
    bytes.extend(serde_json::to_vec(&simulated.relevance).unwrap());
    Digest::of(&bytes)
}

/// For each shown item: surface, item, position, number of items shown, and whether it was played.
fn shown(events: &[Event]) -> Vec<(&str, &str, u32, usize, bool)> {
    let mut surfaces = BTreeMap::new();
    let mut played = BTreeSet::new();
    for event in events {
        match event {
            Event::Request(r) => drop(surfaces.insert(r.id.as_str(), r.surface.as_str())),
            Event::Interaction(i) if i.action == "play" => drop(played.insert((i.request.as_deref(), i.item.as_str()))),
            _ => {}
        }
    }
    let impressions = events.iter().filter_map(|e| if let Event::Impression(i) = e { Some(i) } else { None });
    let rows = impressions.flat_map(|i| {
        let row = |s| (surfaces[i.request.as_str()], s, i.shown.len(), i.request.as_str());
        i.shown.iter().map(row).collect::<Vec<_>>()
    });
    rows.map(|(surface, s, n, request)| {
        (surface, s.item.as_str(), s.position, n, played.contains(&(Some(request), s.item.as_str())))
    })
    .collect()
}

/// Pearson's statistic of plays by group against one common rate, and its degrees of freedom.
fn chi_square<'a>(rows: impl Iterator<Item = (&'a str, bool)> + Clone) -> (f64, f64) {
    let mut groups: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (group, played) in rows {
        let (n, hits) = groups.entry(group).or_default();
        *n += 1.0;
        *hits += f64::from(u8::from(played));
    }
    let (n, hits) = groups.values().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let rate = hits / n;
    let sum = groups.values().map(|(n, hits)| (hits - n * rate) * (hits - n * rate) / (n * rate * (1.0 - rate))).sum();
    (sum, groups.len() as f64 - 1.0)
}

/// How many standard deviations a chi-square statistic lies above its mean.
fn excess((statistic, freedom): (f64, f64)) -> f64 {
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

#[test]
fn the_same_world_gives_the_same_bytes_and_another_seed_others() {
    let first = digest(&run(SMALL));
    assert_eq!(first, digest(&run(SMALL)));
    assert_ne!(first, digest(&run(World { seed: 12, ..SMALL })));
    assert_ne!(first, digest(&run(World { null: true, ..SMALL })));
}

#[test]
fn events_are_well_formed_unique_and_in_time_order() {
    for null in [false, true] {
        let simulated = run(World { null, ..SMALL });
        let mut ids = BTreeSet::new();
        for event in &simulated.events {
            event.check().unwrap();
            let id = match event {
                Event::Request(e) => &e.id,
                Event::Impression(e) => &e.id,
                Event::Interaction(e) => &e.id,
                Event::Item(_) | Event::User(_) => continue,
            };
            assert!(ids.insert(id), "{id} twice");
        }
        assert!(simulated.events.is_sorted_by_key(Event::ts));
        assert_eq!(simulated.summary.events, simulated.events.len() as u64);
        assert_eq!(simulated.summary.requests.len(), 3);
    }
}

#[test]
fn nothing_is_known_before_it_exists() {
    let simulated = run(SMALL);
    let mut known = BTreeSet::new();
    for event in &simulated.events {
        match event {
            Event::Item(e) => drop(known.insert(&e.id)),
            Event::User(e) => drop(known.insert(&e.id)),
            Event::Request(e) => {
                assert!(known.contains(&e.user));
                assert!(e.candidates.iter().all(|c| known.contains(&c.item)));
            }
            Event::Impression(_) => {}
            Event::Interaction(e) => assert!(known.contains(&e.user) && known.contains(&e.item)),
        }
    }
}

#[test]
fn the_oracle_knows_every_candidate_and_all_of_the_history_of_shortcuts() {
    let simulated = run(SMALL);
    let mut history: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut requests = 0;
    for event in &simulated.events {
        match event {
            Event::Interaction(e) => drop(history.entry(&e.user).or_default().insert(&e.item)),
            Event::Request(e) => {
                let truth = &simulated.relevance[&e.id];
                let expected: BTreeSet<&str> = match e.surface.as_str() {
                    "shortcuts" => history[e.user.as_str()].clone(),
                    _ => e.candidates.iter().map(|c| c.item.as_str()).collect(),
                };
                assert_eq!(truth.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
                assert!(truth.values().all(|r| r.is_finite() && *r >= 0.0));
                requests += 1;
            }
            _ => {}
        }
    }
    assert_eq!(requests, simulated.relevance.len());
}

#[test]
fn only_what_was_done_on_a_slate_falls_into_its_window() {
    let simulated = run(SMALL);
    let mut asked: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for event in &simulated.events {
        match event {
            Event::Request(e) => asked.entry(&e.user).or_default().push((e.ts, &e.id)),
            Event::Interaction(e) => {
                let recent =
                    asked.get(e.user.as_str()).into_iter().flatten().filter(|(ts, _)| e.ts - ts <= 30 * 60_000);
                let recent: Vec<&str> = recent.map(|(_, id)| *id).collect();
                match &e.request {
                    Some(request) => assert!(recent.contains(&request.as_str())),
                    None => {
                        assert!(recent.is_empty(), "an organic listen of {} within 30 minutes of a request", e.user)
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn new_users_without_history_ask_for_playlists_in_the_last_week() {
    let simulated = run(SMALL);
    let from = EPOCH_MS + i64::from(SMALL.days - 7) * DAY_MS;
    let mut seen = BTreeSet::new();
    let mut requests = 0;
    for event in &simulated.events {
        match event {
            Event::Interaction(e) => drop(seen.insert(&e.user)),
            Event::Request(e) if e.surface == "playlists" && e.ts >= from => {
                requests += usize::from(!seen.contains(&e.user));
            }
            _ => {}
        }
    }
    // 65 % of 200 users sign up over 21 days, and each asks for one shelf or, where enough is left, two.
    assert!((25..130).contains(&requests), "{requests}");
}

#[test]
fn propensities_are_those_of_the_draw() {
    for null in [false, true] {
        let simulated = run(World { null, ..SMALL });
        let mut candidates = BTreeMap::new();
        let (mut estimate, mut truth) = (0.0, 0.0);
        for event in &simulated.events {
            match event {
                Event::Request(r) => drop(candidates.insert(&r.id, r.candidates.len())),
                Event::Impression(i) => {
                    let propensities: Vec<f64> = i.shown.iter().filter_map(|s| s.propensity).collect();
                    assert_eq!(propensities.len(), i.shown.len());
                    // A uniform draw is one among fewer and fewer.
                    assert!(!null || propensities.is_sorted());
                    let n = candidates[&i.request];
                    if n > 0 {
                        // 1 / propensity of the first place, on average, counts the candidates.
                        estimate += 1.0 / propensities[0];
                        truth += n as f64;
                    }
                }
                _ => {}
            }
        }
        assert!((estimate / truth - 1.0).abs() < if null { 1e-9 } else { 0.05 }, "{estimate} for {truth} candidates");
    }
}

#[test]
fn clicks_of_a_null_world_depend_on_position_alone() {
    let simulated = run(World { users: 1_000, days: 28, null: true, ..SMALL });
    let rows = shown(&simulated.events);
    for surface in ["podcasts", "playlists", "shortcuts"] {
        // A grid of n items gets one play: only grids of the full length are comparable.
        let rows = rows.iter().filter(|r| r.0 == surface && (surface != "shortcuts" || r.3 == 10));
        let by_item = excess(chi_square(rows.clone().map(|r| (r.1, r.4))));
        assert!(by_item.abs() < 4.0, "{surface}: {by_item} standard deviations");
        let places: Vec<String> = (0..12).map(|p| p.to_string()).collect();
        let by_place = excess(chi_square(rows.map(|r| (places[r.2 as usize].as_str(), r.4))));
        assert!(surface == "shortcuts" || by_place > 4.0, "{surface}: {by_place} standard deviations by position");
    }
    let clicked = run(World { users: 1_000, days: 28, ..SMALL });
    let rows = shown(&clicked.events);
    let by_item = excess(chi_square(rows.iter().filter(|r| r.0 == "podcasts").map(|r| (r.1, r.4))));
    assert!(by_item > 10.0, "items differ where clicks mean something: {by_item}");
}

#[test]
fn null_positions_know_nothing_of_items() {
    let simulated = run(World { null: true, ..SMALL });
    let rows = shown(&simulated.events);
    let above = rows.iter().filter(|r| r.0 == "podcasts").map(|r| (r.1, r.2 < 6));
    let above = excess(chi_square(above));
    assert!(above.abs() < 4.0, "{above} standard deviations");
}

#[test]
fn a_world_of_nothing_is_empty_and_errors_come_back() {
    let nothing = World { users: 0, items: 0, days: 0, seed: 1, null: false };
    assert_eq!(run(nothing).summary.events, 0);
    let fails = |_: Event| Err(io::Error::other("full"));
    let result = simulate(&SMALL, &|_, _| {}, &mut { fails }, &mut |_| Ok(()));
    assert_eq!(result.unwrap_err().to_string(), "full");
    for items in [0, 1, 7] {
        run(World { users: 20, items, days: 5, seed: 3, null: false });
    }
}
