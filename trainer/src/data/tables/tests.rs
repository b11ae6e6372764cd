use shared_features::event::{Candidate, ImpressionEvent, InteractionEvent, ItemEvent, Shown, UserEvent};

use super::*;
use crate::spec::TrainerSpec;

const HOUR: i64 = 3_600_000;

fn spec(tables: &str, label: &str) -> FeatureSpec {
    let text = format!(
        r#"
        surface = "podcasts"
        fallback = "b"
        label = {{ grades = {{ play = 1 }}, {label} }}
        tables = {{ refresh = "1h", delay = "10m", {tables} }}
        schema.user.country = "category"
        schema.context.device = "category"
        schema.item.genre = "category"
        schema.item.length = "number"
        [[features]]
        name = "length"
        source = "field"
        field = "item.length"
        [[baselines]]
        name = "b"
        score = "length"
        "#
    );
    FeatureSpec::parse(&text).unwrap()
}

fn statistic(one: &str, min_users: u32) -> FeatureSpec {
    spec(&format!("min_users = {min_users}, statistics = [{{ name = \"x\", {one} }}]"), "assume_shown = false")
}

fn attributes(name: &str, value: impl Into<Option<&'static str>>) -> Attributes {
    value.into().map(|value| (name.to_owned(), Some(FieldValue::String(value.into())))).into_iter().collect()
}

fn item(id: &str, ts: i64, genre: &'static str) -> Event {
    Event::Item(ItemEvent { id: id.into(), ts, attributes: attributes("genre", genre) })
}

fn user(id: &str, ts: i64, country: &'static str) -> Event {
    Event::User(UserEvent { id: id.into(), ts, attributes: attributes("country", country) })
}

fn request(id: &str, ts: i64, user: &str, items: &[&str]) -> Event {
    let candidate = |item: &&str| Candidate { item: (*item).into(), fields: Attributes::new() };
    Event::Request(RequestEvent {
        id: id.into(),
        ts,
        offset_min: 0,
        user: user.into(),
        surface: if id.starts_with('s') { "shortcuts".into() } else { "podcasts".into() },
        attributes: Attributes::new(),
        context: attributes("device", if ts % 2 == 0 { "phone" } else { "web" }),
        candidates: items.iter().map(candidate).collect(),
        exclude: Vec::new(),
    })
}

fn impression(id: &str, ts: i64, request: &str, items: &[&str]) -> Event {
    let shown =
        |(position, item): (usize, &&str)| Shown { item: (*item).into(), position: position as u32, propensity: None };
    Event::Impression(ImpressionEvent {
        id: id.into(),
        ts,
        request: request.into(),
        shown: items.iter().enumerate().map(shown).collect(),
    })
}

fn play(ts: i64, user: &str, item: &str, request: Option<&str>) -> Event {
    Event::Interaction(InteractionEvent {
        id: format!("{user} {item} {ts}"),
        ts,
        offset_min: None,
        user: user.into(),
        item: item.into(),
        action: if ts % 5 == 4 { "skip".into() } else { "play".into() },
        surface: None,
        request: request.map(str::to_owned),
        dwell_ms: None,
        completion: None,
    })
}

/// Values by segment and item, missing ones left out.
fn values(spec: &FeatureSpec, events: &[Event], as_of: i64) -> Vec<(String, String, f32)> {
    let tables = Snapshots::new(spec, events).unwrap().at(as_of);
    let statistics = &tables.statistics[0];
    let rows = statistics.data.chunks(tables.items.len().max(1));
    let named = statistics.segments.iter().zip(rows).flat_map(|(segment, row)| {
        tables.items.iter().zip(row).map(|(item, x)| (segment.clone(), item.clone(), *x)).collect::<Vec<_>>()
    });
    named.filter(|(_, _, x)| !x.is_nan()).collect()
}

fn expect(spec: &FeatureSpec, events: &[Event], as_of: i64, expected: &[(&str, &str, f32)]) {
    let got = values(spec, events, as_of);
    let got: Vec<_> = got.iter().map(|(segment, item, x)| (segment.as_str(), item.as_str(), *x)).collect();
    assert_eq!(got, expected);
}

#[test]
fn interactions_and_users_are_counted_by_action_window_and_surface() {
    let events = [
        play(1, "u", "a", None),
        request("p", 2, "u", &["a"]),
        request("s", 2, "v", &["a"]),
        play(3, "u", "a", Some("p")),
        play(4, "v", "a", Some("s")),
        play(5, "v", "b", Some("s")),
        play(6, "v", "a", None),
    ];
    for (one, expected) in [
        (r#"count = "interactions""#, &[("", "a", 4.0), ("", "b", 1.0)][..]),
        (r#"count = "interactions", actions = ["play"]"#, &[("", "a", 3.0), ("", "b", 1.0)]),
        (r#"count = "interactions", actions = ["skip"]"#, &[("", "a", 1.0)]),
        (r#"count = "interactions", surface = "podcasts""#, &[("", "a", 1.0)]),
        (r#"count = "interactions", window = "2ms""#, &[("", "a", 1.0), ("", "b", 1.0)]),
        (r#"count = "users""#, &[("", "a", 2.0), ("", "b", 1.0)]),
        (r#"count = "users", window = "3ms""#, &[("", "a", 1.0), ("", "b", 1.0)]),
        (r#"count = "interactions", by = "context.device""#, &[("phone", "a", 2.0), ("phone", "b", 1.0)]),
    ] {
        expect(&statistic(one, 1), &events, 7, expected);
    }
    expect(&statistic(r#"count = "interactions""#, 1), &events, 6, &[("", "a", 3.0), ("", "b", 1.0)]);
    expect(&statistic(r#"count = "interactions", window = "2ms""#, 1), &events, 99, &[]);
}

#[test]
fn impressions_are_those_reported_or_every_candidate() {
    let events = [
        request("p", 2, "u", &["a", "b"]),
        request("s", 2, "v", &["a", "c"]),
        impression("i", 4, "p", &["b"]),
        impression("j", 5, "s", &["a", "c"]),
        impression("k", 5, "unknown", &["a"]),
    ];
    let one = r#"count = "impressions""#;
    expect(&statistic(one, 0), &events, 9, &[("", "a", 2.0), ("", "b", 1.0), ("", "c", 1.0)]);
    // Nobody is known to have seen the impression of an unknown request.
    expect(&statistic(one, 1), &events[..2], 9, &[]);
    expect(&statistic(one, 1), &[impression("k", 5, "unknown", &["a"])], 9, &[]);
    let surface = r#"count = "impressions", surface = "shortcuts""#;
    expect(&statistic(surface, 1), &events, 9, &[("", "a", 1.0), ("", "c", 1.0)]);
    let assumed = spec(&format!("min_users = 1, statistics = [{{ name = \"x\", {one} }}]"), "assume_shown = true");
    expect(&assumed, &events, 3, &[("", "a", 2.0), ("", "b", 1.0), ("", "c", 1.0)]);
    expect(&assumed, &events, 9, &[("", "a", 2.0), ("", "b", 1.0), ("", "c", 1.0)]);
    expect(&assumed, &events, 2, &[]);
}

#[test]
fn segments_come_from_the_request_or_the_newest_attributes() {
    let mut own = request("p", 5, "u", &[]);
    if let Event::Request(e) = &mut own {
        e.attributes = attributes("country", "SE");
    }
    let events = [
        play(1, "u", "a", None),
        user("u", 2, "US"),
        request("q", 3, "u", &[]),
        play(3, "u", "a", Some("q")),
        own,
        play(6, "u", "a", Some("p")),
        play(7, "u", "a", None),
        play(8, "u", "a", Some("q")),
    ];
    let by = statistic(r#"count = "interactions", by = "user.country""#, 1);
    expect(&by, &events, 9, &[("SE", "a", 2.0), ("US", "a", 2.0)]);
    expect(&by, &events, 5, &[("US", "a", 1.0)]);
}

#[test]
fn values_of_too_few_users_are_left_out() {
    let mut events = vec![item("a", 0, "news")];
    for (n, country) in [(0, "US"), (1, "US"), (2, "US"), (3, "SE")] {
        events.push(user(&format!("u{n}"), 1, country));
    }
    for n in 0..4 {
        events.push(play(10 + n * 5, &format!("u{n}"), "a", None));
        events.push(play(10 + n * 5, &format!("u{n}"), "a", None));
    }
    events.push(play(30, "u0", "b", None));
    expect(&statistic(r#"count = "interactions""#, 2), &events, 99, &[("", "a", 8.0)]);
    expect(&statistic(r#"count = "interactions""#, 5), &events, 99, &[]);
    let by = statistic(r#"count = "interactions", by = "user.country""#, 2);
    expect(&by, &events, 99, &[("US", "a", 6.0)]);
    let tables = Snapshots::new(&by, &events).unwrap().at(99);
    assert_eq!((tables.items, tables.statistics[0].segments.clone()), (vec!["a".to_owned()], vec!["US".to_owned()]));
    // The third of the users has left the window.
    expect(&statistic(r#"count = "interactions", window = "15ms""#, 4), &events, 26, &[]);
    expect(&statistic(r#"count = "interactions", window = "16ms""#, 4), &events, 26, &[("", "a", 8.0)]);
}

#[test]
fn half_lives_weigh_by_age() {
    let events = [
        play(0, "u", "a", None),
        play(HOUR, "u", "a", None),
        play(HOUR, "v", "a", None),
        play(2 * HOUR, "v", "b", None),
    ];
    for (one, expected) in [
        (r#"count = "interactions", half_life = "1h""#, &[("", "a", 0.25 + 0.5 + 0.5), ("", "b", 1.0)][..]),
        (r#"count = "interactions", half_life = "1h", window = "1h""#, &[("", "a", 1.0), ("", "b", 1.0)]),
        (r#"count = "users", half_life = "1h""#, &[("", "a", 1.0), ("", "b", 1.0)]),
    ] {
        expect(&statistic(one, 1), &events, 2 * HOUR, &expected[..1]);
        let at_once = Snapshots::new(&statistic(one, 1), &events).unwrap().at(2 * HOUR + 1);
        let got = at_once.statistics[0].data.last().unwrap();
        assert!((got - expected[1].2).abs() < 1e-6, "{one}: {got}");
    }
    // Thousands of half-lives later nothing is left, and nothing overflows on the way.
    let far = statistic(r#"count = "interactions", half_life = "1ms""#, 1);
    expect(&far, &[play(-9_000_000, "u", "a", None), play(9_000_000, "u", "a", None)], 9_000_001, &[("", "a", 0.5)]);
    expect(&far, &[play(-9_000_000, "u", "a", None)], 9_000_000, &[("", "a", 0.0)]);
    for ts in [i64::MIN, i64::MAX - 1] {
        assert_eq!(values(&far, &[play(ts, "u", "a", None)], i64::MAX).len(), 1);
    }
}

#[test]
fn attributes_are_the_newest_before_the_snapshot() {
    let mut bare = item("b", 3, "news");
    if let Event::Item(e) = &mut bare {
        e.attributes = Attributes::from([("undeclared".to_owned(), Some(FieldValue::Number(1.0)))]);
    }
    let events = [item("b", 1, "news"), item("a", 2, "sport"), item("b", 2, "music"), bare];
    let snapshots = Snapshots::new(&spec("", "window = \"1h\""), &events).unwrap();
    let genres = |as_of| {
        let tables = snapshots.at(as_of);
        let Column::Category(genres) = &tables.attributes[0] else { panic!("genre is a category") };
        let named = tables.items.iter().enumerate().map(|(row, item)| format!("{item} {:?}", genres.get(row)));
        named.collect::<Vec<String>>()
    };
    assert_eq!(genres(1), [""; 0]);
    assert_eq!(genres(2), ["b Some(\"news\")"]);
    assert_eq!(genres(3), ["a Some(\"sport\")", "b Some(\"music\")"]);
    assert_eq!(genres(4), ["a Some(\"sport\")", "b None"]);
    let tables = snapshots.at(4);
    assert_eq!((tables.as_of, tables.valid_from), (4, 4 + 600_000));
}

#[test]
fn an_attribute_of_another_kind_is_refused_by_name() {
    let wrong = Event::Item(ItemEvent { id: "b".into(), ts: 3, attributes: attributes("length", "long") });
    let error = Snapshots::new(&spec("", ""), &[item("a", 1, "news"), wrong]).unwrap_err().to_string();
    assert!(error.starts_with("item `b`, field `length`: got the string"), "{error}");
}

#[test]
fn snapshots_are_scheduled_at_multiples_of_the_refresh() {
    let snapshots = Snapshots::new(&spec("", ""), &[]).unwrap();
    let ten = 600_000;
    for (ts, as_of) in [(0, -HOUR), (ten, 0), (HOUR, 0), (HOUR + ten - 1, 0), (HOUR + ten, HOUR), (-HOUR, -2 * HOUR)] {
        assert_eq!(snapshots.as_of_for(ts), as_of, "{ts}");
    }
    let times: Vec<i64> = snapshots.schedule(ten, 2 * HOUR + ten).collect();
    assert_eq!(times, [0, HOUR, 2 * HOUR]);
    assert!(snapshots.as_of_for(i64::MIN) < 0 && snapshots.as_of_for(i64::MAX) > 0);
}

/// A log with every kind of event, drawn from a fixed sequence.
fn many() -> Vec<Event> {
    let mut state = 7u64;
    let mut draw = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let genres = ["news", "music", "sport"];
    let mut events = Vec::new();
    for step in 0..3_000i64 {
        let ts = step * HOUR / 7;
        let (someone, thing) = (format!("u{}", draw(40)), format!("i{}", draw(60)));
        events.push(match draw(6) {
            0 => item(&thing, ts, genres[draw(3) as usize]),
            1 => user(&someone, ts, ["US", "SE", "BR"][draw(3) as usize]),
            2 => request(&format!("r{step}"), ts, &someone, &[&thing, "always"]),
            3 => impression(&format!("s{step}"), ts, &format!("r{}", step - draw(30) as i64), &[&thing, "always"]),
            4 => play(ts, &someone, &thing, Some(&format!("r{}", step - draw(30) as i64))),
            _ => play(ts, &someone, &thing, None),
        });
    }
    events
}

fn every_statistic() -> FeatureSpec {
    spec(
        r#"min_users = 2, statistics = [
            { name = "a", count = "interactions", actions = ["play"] },
            { name = "b", count = "interactions", window = "30h" },
            { name = "c", count = "interactions", half_life = "3h", by = "user.country" },
            { name = "d", count = "interactions", half_life = "3h", window = "90h" },
            { name = "e", count = "impressions", by = "context.device" },
            { name = "f", count = "impressions", surface = "podcasts", half_life = "1h" },
            { name = "g", count = "users", window = "90h", by = "user.country" },
            { name = "h", count = "users", half_life = "20h" },
        ]"#
        .replace('\n', " ")
        .as_str(),
        "assume_shown = false",
    )
}

#[test]
fn a_snapshot_is_the_same_alone_and_in_a_row() {
    let (spec, events) = (every_statistic(), many());
    let snapshots = Snapshots::new(&spec, &events).unwrap();
    let mut times: Vec<i64> = snapshots.schedule(0, 450 * HOUR).step_by(5).collect();
    times.extend([70 * HOUR, 20 * HOUR, 20 * HOUR]);
    for (tables, as_of) in snapshots.iter(&times).zip(&times) {
        assert_eq!(tables.to_bytes(), snapshots.at(*as_of).to_bytes(), "{as_of}");
        let unfitted = &spec.unfitted;
        Tables::from_bytes(&tables.to_bytes(), &unfitted.schema, &unfitted.statistics).unwrap();
    }
    let last = snapshots.at(440 * HOUR);
    assert!(last.statistics.iter().all(|s| s.data.iter().any(|x| *x > 0.0)), "every statistic has values");
}

#[test]
fn nothing_from_the_future_is_in_a_snapshot() {
    let (spec, events) = (every_statistic(), many());
    for as_of in [0, 30 * HOUR, 100 * HOUR, 301 * HOUR] {
        let whole = Snapshots::new(&spec, &events).unwrap().at(as_of).to_bytes();
        let now = events.partition_point(|e| e.ts() < as_of);
        let deleted = Snapshots::new(&spec, &events[..now]).unwrap().at(as_of).to_bytes();
        assert!(whole == deleted, "deleting what came after {as_of} changes the snapshot");
        let mut shuffled = events.clone();
        let times: Vec<i64> = events[now..].iter().map(Event::ts).collect();
        shuffled[now..].reverse();
        for (event, ts) in shuffled[now..].iter_mut().zip(times) {
            set_ts(event, ts);
        }
        let shuffled = Snapshots::new(&spec, &shuffled).unwrap().at(as_of).to_bytes();
        assert!(whole == shuffled, "shuffling what came after {as_of} changes the snapshot");
    }
}

fn set_ts(event: &mut Event, ts: i64) {
    match event {
        Event::Item(e) => e.ts = ts,
        Event::User(e) => e.ts = ts,
        Event::Request(e) => e.ts = ts,
        Event::Impression(e) => e.ts = ts,
        Event::Interaction(e) => e.ts = ts,
    }
}

#[test]
fn windows_and_half_lives_of_nothing_are_refused() {
    for one in [r#"window = "0s""#, r#"half_life = "0s""#] {
        let text = format!(
            r#"
            surface = "s"
            fallback = "b"
            label.grades = {{ play = 1 }}
            tables.statistics = [{{ name = "x", count = "users", {one} }}]
            "#
        );
        let error = FeatureSpec::parse(&text).unwrap_err();
        assert!(error.line == 5 && error.reason.contains("`x` has a window or half-life of 0"), "{error}");
    }
}

#[test]
fn a_snapshot_is_due_halfway_through_the_delay() {
    let spec = TrainerSpec::parse(include_str!("../../../specs/podcasts.toml")).unwrap().features.tables;
    let (hour, minute) = (3_600_000, 60_000);
    assert_eq!((spec.refresh.ms, spec.delay.ms), (6 * hour, 10 * minute));
    let due = |now| Due::at(&spec, now);
    assert_eq!(due(12 * hour + 5 * minute), Due { as_of: 12 * hour, next: 18 * hour + 5 * minute });
    assert_eq!(due(12 * hour + 5 * minute - 1), Due { as_of: 6 * hour, next: 12 * hour + 5 * minute });
    assert_eq!(due(18 * hour), Due { as_of: 12 * hour, next: 18 * hour + 5 * minute });
    assert_eq!(due(-1), Due { as_of: -6 * hour, next: 5 * minute });
}
