use shared_features::duration::Duration;
use shared_features::event::{Attributes, Candidate, ImpressionEvent, InteractionEvent, Shown};

use super::*;

fn label(assume_shown: bool) -> Label {
    let grades = [("play", 1), ("like", 2), ("hide", 0)].map(|(action, grade)| (action.to_owned(), grade));
    Label { grades: grades.into(), window: Duration { ms: 100 }, assume_shown, touch: Touch::Last }
}

fn request(id: &str, ts: i64, items: &[&str]) -> Event {
    Event::Request(RequestEvent {
        id: id.into(),
        ts,
        offset_min: 0,
        user: "u".into(),
        surface: if id.starts_with('s') { "shortcuts".into() } else { "podcasts".into() },
        attributes: Attributes::new(),
        context: Attributes::new(),
        candidates: items.iter().map(|i| Candidate { item: (*i).into(), fields: Attributes::new() }).collect(),
        exclude: Vec::new(),
    })
}

fn impression(ts: i64, request: &str, items: &[&str]) -> Event {
    let shown = items.iter().zip(0..).map(|(item, position)| Shown {
        item: (*item).into(),
        position,
        propensity: (position == 0).then_some(0.5),
    });
    Event::Impression(ImpressionEvent {
        id: format!("{request} {ts}"),
        ts,
        request: request.into(),
        shown: shown.collect(),
    })
}

fn done(ts: i64, item: &str, action: &str, request: Option<&str>) -> Event {
    Event::Interaction(InteractionEvent {
        id: format!("{item} {action} {ts}"),
        ts,
        offset_min: None,
        user: "u".into(),
        item: item.into(),
        action: action.into(),
        surface: None,
        request: request.map(str::to_owned),
        dwell_ms: None,
        completion: None,
    })
}

fn grades(assume_shown: bool, events: &[Event], request: &str, ts: i64, items: &[&str]) -> Vec<Option<u32>> {
    let items: Vec<String> = items.iter().map(|i| (*i).to_owned()).collect();
    Labels::new(&label(assume_shown), events).grades(request, ts, &items)
}

#[test]
fn the_highest_grade_in_the_window_counts() {
    let events = [
        done(5, "a", "like", Some("r")),
        request("r", 10, &["a", "b", "c", "d"]),
        impression(11, "r", &["a", "b", "c"]),
        done(10, "a", "play", Some("r")),
        done(20, "b", "like", Some("r")),
        done(30, "b", "play", Some("r")),
        done(31, "c", "hide", Some("r")),
        done(32, "d", "like", Some("r")),
        done(33, "c", "like", Some("other")),
        done(34, "c", "dance", Some("r")),
        done(110, "a", "play", Some("r")),
        done(111, "a", "like", Some("r")),
    ];
    let expected = [Some(1), Some(2), Some(0), None, None];
    assert_eq!(grades(false, &events, "r", 10, &["a", "b", "c", "d", "e"]), expected);
    assert_eq!(grades(true, &events, "r", 10, &["a", "b", "c", "d", "e"]), expected);
    assert_eq!(grades(false, &events, "unknown", 10, &["a"]), [None]);
}

#[test]
fn without_impressions_everything_is_assumed_to_be_shown_or_nothing() {
    let events = [request("r", 10, &["a", "b"]), done(20, "b", "play", Some("r"))];
    assert_eq!(grades(false, &events, "r", 10, &["a", "b"]), [None, None]);
    assert_eq!(grades(true, &events, "r", 10, &["a", "b"]), [Some(0), Some(1)]);
    // An impression that is reported after the window is no evidence any more.
    let late = [&events[..], &[impression(111, "r", &["a"])]].concat();
    assert_eq!(grades(false, &late, "r", 10, &["a"]), [None]);
    assert_eq!(grades(true, &late, "r", 10, &["b"]), [Some(1)]);
}

#[test]
fn an_interaction_without_a_request_goes_to_the_last_touch() {
    let events = [
        done(1, "a", "play", None),
        request("r1", 10, &["a", "b"]),
        impression(10, "r1", &["a", "b"]),
        request("r2", 20, &["a"]),
        done(25, "a", "play", None),
        impression(30, "r2", &["a"]),
        done(40, "a", "like", None),
        done(41, "b", "like", None),
        done(42, "c", "like", None),
    ];
    // At 25 the answer to `r2` had not been seen yet.
    assert_eq!(grades(false, &events, "r1", 10, &["a", "b", "c"]), [Some(1), Some(2), None]);
    assert_eq!(grades(false, &events, "r2", 20, &["a", "b"]), [Some(2), None]);
    // Where every candidate counts as shown, it is shown when it is asked for.
    let assumed: Vec<Event> = events.iter().filter(|e| !matches!(e, Event::Impression(_))).cloned().collect();
    assert_eq!(grades(true, &assumed, "r1", 10, &["a", "b", "c"]), [Some(0), Some(2), Some(0)]);
    assert_eq!(grades(true, &assumed, "r2", 20, &["a"]), [Some(2)]);
    let open =
        [request("r1", 10, &[]), done(12, "a", "play", None), request("r2", 14, &[]), done(16, "a", "like", None)];
    assert_eq!(grades(true, &open, "r1", 10, &["a"]), [Some(1)]);
    assert_eq!(grades(true, &open, "r2", 14, &["a"]), [Some(2)]);
}

#[test]
fn last_touch_is_of_the_same_user_and_surface() {
    let mut elsewhere = done(25, "a", "like", None);
    let mut here = done(26, "a", "play", None);
    for (event, user, surface) in [(&mut elsewhere, "other", None), (&mut here, "u", Some("podcasts".to_owned()))] {
        let Event::Interaction(e) = event else { panic!("it is an interaction") };
        (e.user, e.surface) = (user.into(), surface);
    }
    let events = [
        request("p", 10, &[]),
        impression(11, "p", &["a"]),
        request("s", 20, &[]),
        impression(21, "s", &["a"]),
        elsewhere,
        here,
    ];
    assert_eq!(grades(false, &events, "p", 10, &["a"]), [Some(1)]);
    assert_eq!(grades(false, &events, "s", 20, &["a"]), [Some(0)]);
}

#[test]
fn places_are_those_reported_or_the_order_of_the_candidates() {
    let events = [request("r", 10, &["a", "b"]), impression(12, "r", &["b", "c"]), request("q", 20, &["a", "b"])];
    let labels = Labels::new(&label(false), &events);
    assert_eq!(labels.placement("r", 10, "b"), Some(Placement { position: 0, propensity: Some(0.5) }));
    assert_eq!(labels.placement("r", 10, "c"), Some(Placement { position: 1, propensity: None }));
    assert_eq!((labels.placement("r", 10, "a"), labels.placement("q", 20, "a")), (None, None));
    let labels = Labels::new(&label(true), &events);
    assert_eq!(labels.placement("q", 20, "b"), Some(Placement { position: 1, propensity: None }));
    assert_eq!(labels.placement("r", 10, "a"), None);
}

#[test]
fn windows_close() {
    let labels = Labels::new(&label(false), &[]);
    assert!(labels.window_closed(0, 100) && !labels.window_closed(1, 100));
    assert!(!labels.window_closed(i64::MAX, 0));
}

#[test]
fn nothing_after_the_window_changes_a_label() {
    let mut events = Vec::new();
    for step in 0..400i64 {
        let (item, ts) = (["a", "b", "c"][(step * 7 % 3) as usize], step * 6);
        events.push(match step * 13 % 5 {
            0 => request(&format!("r{step}"), ts, &["a", "b", "c"]),
            1 | 4 => impression(ts, &format!("r{}", step - (step * 13 % 5) * 2), &["a", item]),
            2 => done(ts, item, "like", None),
            _ => done(ts, item, "play", Some(&format!("r{}", step - step % 5))),
        });
    }
    let items = ["a", "b", "c"];
    for until in [500, 1_000, 1_777] {
        let before = &events[..events.partition_point(|e| e.ts() <= until)];
        let mut shuffled = events.clone();
        shuffled[before.len()..].reverse();
        for event in &events {
            let Event::Request(r) = event else { continue };
            if r.ts + 100 > until {
                continue;
            }
            for assume_shown in [false, true] {
                let whole = grades(assume_shown, &events, &r.id, r.ts, &items);
                assert_eq!(whole, grades(assume_shown, before, &r.id, r.ts, &items), "{}", r.id);
                assert_eq!(whole, grades(assume_shown, &shuffled, &r.id, r.ts, &items), "{}", r.id);
            }
        }
    }
}

#[test]
fn the_first_touch_is_the_first_request_whose_window_is_open() {
    let events = [
        request("a", 0, &[]),
        impression(1, "a", &["x"]),
        request("b", 50, &[]),
        impression(51, "b", &["x"]),
        request("c", 90, &[]),
        impression(91, "c", &["x"]),
        done(120, "x", "play", None),
    ];
    for (touch, expected) in [(Touch::Last, ["a 0", "b 0", "c 1"]), (Touch::First, ["a 0", "b 1", "c 0"])] {
        let labels = Labels::new(&Label { touch, ..label(false) }, &events);
        let got = [("a", 0), ("b", 50), ("c", 90)].map(|(id, ts)| {
            let grade = labels.grades(id, ts, &["x".into()])[0];
            format!("{id} {}", grade.unwrap_or(9))
        });
        assert_eq!(got, expected, "{touch:?}");
    }
}
