//! Every source on one small history, with values computed by hand.

use crate::column::{Column, Kind};
use crate::encoder::Encoder;
use crate::event::{Attributes, Candidate, FieldValue, InteractionEvent, RequestEvent};
use crate::history::{Entry, History, HistoryView};
use crate::numeric::MISSING;
use crate::rank::Parts;
use crate::request::Request;
use crate::schema::{Entity, Schema};
use crate::spec::FeatureSpec;
use crate::tables::{StatisticValues, Tables};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Wednesday, 7 January 2026, 12:00 UTC.
const NOW: i64 = 1_767_787_200_000;

const SPEC: &str = r#"
surface = "test"
fallback = "zero"
[schema.user]
country = "category"
taste = "vector(2)"
likes = "tags"
age = "number"
premium = "boolean"
[schema.context]
query = "text"
[schema.item]
genre = "category"
title = "text"
tags = "tags"
released = "timestamp"
shape = "vector(2)"
[schema.candidate]
reason = "category"
price = "number"
[label]
grades = { play = 1 }
[tables]
min_users = 1
statistics = [
  { name = "plays", count = "interactions" },
  { name = "local", count = "interactions", by = "user.country" },
]
[[features]]
name = "x"
source = "list_size"
encode = false
[[baselines]]
name = "zero"
score = "0"
"#;

/// Items a and b share a genre; b and c share a tag; d is in no table; e has neither genre nor tags.
fn tables(schema: &Schema) -> Tables {
    let text = |s: &str| Some(FieldValue::String(s.into()));
    let tags = |t: &[&str]| Some(FieldValue::Strings(t.iter().map(|s| (*s).to_owned()).collect()));
    let item = |genre, title: &str, t: &[&str], released: i64, shape: [f64; 2]| -> Attributes {
        let fields = [
            ("genre", genre),
            ("title", text(title)),
            ("tags", tags(t)),
            ("released", Some(FieldValue::Number(released as f64))),
            ("shape", Some(FieldValue::Numbers(shape.to_vec()))),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let rows = [
        item(text("news"), "The Daily News, daily!", &["x"], NOW - DAY, [1.0, 2.0]),
        item(text("news"), "News of the World", &["y", "z"], NOW + DAY, [0.0, 1.0]),
        item(text("talk"), "", &["y"], 0, [3.0, 0.5]),
        Attributes::new(),
    ];
    let rows: Vec<&Attributes> = rows.iter().collect();
    Tables {
        as_of: 0,
        valid_from: 0,
        items: ["a", "b", "c", "e"].map(str::to_owned).to_vec(),
        attributes: schema.columns(Entity::Item, &rows).unwrap(),
        statistics: vec![
            StatisticValues { segments: vec![String::new()], data: vec![10.0, 0.0, MISSING, 4.0] },
            StatisticValues { segments: vec!["gb".into()], data: vec![1.0, 2.0, 3.0, MISSING] },
        ],
    }
}

/// (hours ago, item, action, completion): three plays of a, one skip and one play of b, one like of c.
const HISTORY: [(f64, &str, &str, f64); 6] = [
    (240.0, "a", "play", 0.2),
    (48.0, "a", "play", 0.4),
    (24.0, "b", "skip", 0.0),
    (23.5, "a", "play", f64::NAN),
    (3.0, "b", "play", 1.0),
    (1.0, "c", "like", f64::NAN),
];

fn history() -> HistoryView {
    let mut history = History::default();
    for (k, (hours, item, action, completion)) in HISTORY.iter().enumerate() {
        history.insert(Entry::from(&interaction(
            &k.to_string(),
            NOW - (hours * HOUR as f64) as i64,
            item,
            action,
            *completion,
        )));
    }
    // At the request's own time and later: never seen.
    history.insert(Entry::from(&interaction("now", NOW, "a", "play", 1.0)));
    history.insert(Entry::from(&interaction("later", NOW + 1, "a", "play", 1.0)));
    HistoryView::of(history.entries())
}

fn interaction(id: &str, ts: i64, item: &str, action: &str, completion: f64) -> InteractionEvent {
    InteractionEvent {
        id: id.into(),
        ts,
        offset_min: None,
        user: "u".into(),
        item: item.into(),
        action: action.into(),
        surface: None,
        request: None,
        dwell_ms: (!completion.is_nan()).then_some(completion * 60_000.0),
        completion: (!completion.is_nan()).then_some(completion),
    }
}

fn request(schema: &Schema, country: Option<&str>) -> Request {
    let text = |s: &str| Some(FieldValue::String(s.into()));
    let attributes = [
        ("country", country.and_then(text)),
        ("taste", Some(FieldValue::Numbers(vec![2.0, -1.0]))),
        ("likes", Some(FieldValue::Strings(vec!["y".into(), "w".into()]))),
        ("age", Some(FieldValue::Number(30.0))),
        ("premium", Some(FieldValue::Boolean(true))),
    ];
    let candidates = ["a", "b", "c", "d", "e"].map(|item| Candidate {
        item: item.into(),
        fields: if item == "a" {
            Attributes::from([("reason".into(), text("news")), ("price".into(), Some(FieldValue::Number(-5.0)))])
        } else {
            Attributes::new()
        },
    });
    let event = RequestEvent {
        id: "r".into(),
        ts: NOW,
        offset_min: 0,
        user: "u".into(),
        surface: "test".into(),
        attributes: attributes.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
        context: Attributes::from([("query".into(), text("Daily NEWS today"))]),
        candidates: candidates.to_vec(),
        exclude: Vec::new(),
    };
    Request::new(&event, None, schema).unwrap()
}

fn column(source: &str, history: &HistoryView, country: Option<&str>) -> Column {
    let spec =
        FeatureSpec::parse(&SPEC.replace("source = \"list_size\"", source)).unwrap_or_else(|e| panic!("{source}: {e}"));
    let encoder: &Encoder = &spec.unfitted;
    let tables = tables(&encoder.schema);
    let request = request(&encoder.schema, country);
    request.check(&encoder.schema).unwrap();
    let parts = Parts { encoder, policy: &spec.policy, tables: &tables };
    let (scene, _) = parts.scene(history, &request);
    let values = encoder.extract(&scene);
    encoder.check_values(&values).unwrap();
    values.columns[0].clone()
}

/// Values for the candidates a, b, c, d and e, by bits.
#[track_caller]
fn check(source: &str, expected: [f64; 5]) {
    let Column::Number(got) = column(source, &history(), Some("gb")) else { panic!("{source}: no numbers") };
    let expected = expected.map(crate::numeric::store);
    assert_eq!(
        got.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        expected.map(f32::to_bits),
        "{source}: {got:?}, expected {expected:?}"
    );
}

const NO: f64 = f64::NAN;

#[test]
fn counts() {
    check(
        r#"source = "count"
scope = "item""#,
        [3.0, 2.0, 1.0, 0.0, 0.0],
    );
    check(
        r#"source = "count"
scope = "item"
actions = ["play"]"#,
        [3.0, 1.0, 0.0, 0.0, 0.0],
    );
    // Exactly at the window's start still counts.
    check(
        r#"source = "count"
scope = "item"
window = "2d""#,
        [2.0, 2.0, 1.0, 0.0, 0.0],
    );
    check(
        r#"source = "count"
scope = "item.genre""#,
        [5.0, 5.0, 1.0, NO, NO],
    );
    // b's tags: y has b, b and c; z has b and b.
    check(
        r#"source = "count"
scope = "item.tags""#,
        [3.0, 2.5, 3.0, NO, NO],
    );
    check(
        r#"source = "count"
scope = "all""#,
        [6.0; 5],
    );
    check(
        r#"source = "distinct"
scope = "item.genre""#,
        [2.0, 2.0, 1.0, NO, NO],
    );
    check(
        r#"source = "sessions"
scope = "all"
gap = "2h""#,
        [4.0; 5],
    );
    check(r#"source = "list_size""#, [5.0; 5]);
}

#[test]
fn habits() {
    // Noon: 240, 48 and 24 hours ago were noon too, 23.5 hours ago half past twelve.
    check(
        r#"source = "count"
scope = "item"
same = "hour""#,
        [3.0, 1.0, 0.0, 0.0, 0.0],
    );
    check(
        r#"source = "count"
scope = "item"
same = "hour_or_next""#,
        [3.0, 1.0, 1.0, 0.0, 0.0],
    );
    // Wednesday: only today.
    check(
        r#"source = "count"
scope = "item"
same = "weekday""#,
        [0.0, 1.0, 1.0, 0.0, 0.0],
    );
    // Ten days ago was a Sunday.
    check(
        r#"source = "count"
scope = "item"
same = "weekend""#,
        [2.0, 2.0, 1.0, 0.0, 0.0],
    );
    check(
        r#"source = "count"
scope = "item"
same = "hour_of_week""#,
        [0.0; 5],
    );
    for (part, value) in [("hour", 12.0), ("weekday", 2.0), ("weekend", 0.0)] {
        check(&format!("source = \"time\"\npart = \"{part}\""), [value; 5]);
    }
}

#[test]
fn recency_and_decay() {
    check(
        r#"source = "since_last"
scope = "item""#,
        [23.5, 3.0, 1.0, NO, NO],
    );
    check(
        r#"source = "since_last"
scope = "item"
nth = 2"#,
        [48.0, 24.0, NO, NO, NO],
    );
    check(
        r#"source = "since_last"
scope = "item.tags"
actions = ["skip"]"#,
        [NO, 24.0, 24.0, NO, NO],
    );
    let half = |hours: f64| libm::exp2(-hours / 24.0);
    check(
        r#"source = "decayed_count"
scope = "item"
half_life = "24h""#,
        [half(240.0) + half(48.0) + half(23.5), half(24.0) + half(3.0), half(1.0), 0.0, 0.0],
    );
}

#[test]
fn rates_and_means() {
    check(
        r#"source = "share"
scope = "item.genre""#,
        [5.0 / 6.0, 5.0 / 6.0, 1.0 / 6.0, NO, NO],
    );
    check(
        r#"source = "share"
scope = "item"
prior = 0.5
weight = 2"#,
        [0.5, 3.0 / 8.0, 0.25, 0.125, 0.125],
    );
    check(
        r#"source = "action_rate"
scope = "item"
of = ["skip"]
over = ["play", "skip"]"#,
        [0.0, 0.5, NO, NO, NO],
    );
    check(
        r#"source = "action_rate"
scope = "item"
of = ["skip"]
over = ["play", "skip"]
prior = 0.5
weight = 2"#,
        [0.2, 0.5, 0.5, 0.5, 0.5],
    );
    let completion = (f64::from(0.2f32) + f64::from(0.4f32)) / 2.0;
    check(
        r#"source = "mean"
of = "completion"
scope = "item""#,
        [completion, 0.5, NO, NO, NO],
    );
    check(
        r#"source = "mean"
of = "dwell_seconds"
scope = "item"
actions = ["play"]"#,
        [18.0, 60.0, NO, NO, NO],
    );
}

#[test]
fn tables_and_fields() {
    check(
        r#"source = "statistic"
statistic = "plays""#,
        [10.0, 0.0, NO, NO, 4.0],
    );
    check(
        r#"source = "statistic"
statistic = "local""#,
        [1.0, 2.0, 3.0, NO, NO],
    );
    check(
        r#"source = "smoothed_rate"
of = "local"
over = "plays"
prior = [1, 5]"#,
        [2.0 / 15.0, 3.0 / 5.0, 4.0 / 5.0, 1.0 / 5.0, 1.0 / 9.0],
    );
    check(
        r#"source = "age"
field = "item.released""#,
        [1.0, -1.0, NOW as f64 / DAY as f64, NO, NO],
    );
    check(
        r#"source = "match"
left = "candidate.reason"
right = "item.genre""#,
        [1.0, NO, NO, NO, NO],
    );
    check(
        r#"source = "overlap"
left = "user.likes"
right = "item.tags""#,
        [0.0, 0.5, 1.0, NO, NO],
    );
    check(
        r#"source = "dot"
left = "user.taste"
right = "item.shape""#,
        [0.0, -1.0, 5.5, NO, NO],
    );
    let Column::Number(unknown) = column("source = \"statistic\"\nstatistic = \"local\"", &history(), Some("fr"))
    else {
        panic!()
    };
    assert!(unknown.iter().all(|x| x.is_nan()), "an unknown segment is missing");
    let Column::Category(genre) = column("source = \"field\"\nfield = \"item.genre\"", &history(), None) else {
        panic!()
    };
    assert_eq!(
        (0..5).map(|row| genre.get(row)).collect::<Vec<_>>(),
        [Some("news"), Some("news"), Some("talk"), None, None]
    );
}

#[test]
fn texts() {
    let terms = super::terms::terms("İstanbul'un  Straße 42—É\u{301}x");
    // The dotted I becomes an i and a combining dot, within its term; a combining mark of the text ends one.
    assert_eq!(terms, ["i\u{307}stanbul", "un", "straße", "42", "é", "x"]);
    assert!(super::terms::terms("").is_empty() && super::terms::terms(" -\u{0}🎧").is_empty());
    check("source = \"text_length\"\nfield = \"item.title\"", [4.0, 4.0, 0.0, NO, NO]);
    check("source = \"text_length\"\nfield = \"item.title\"\nunit = \"characters\"", [22.0, 17.0, 0.0, NO, NO]);
    let term_match = |query, text| format!("source = \"term_match\"\nquery = \"{query}\"\ntext = \"{text}\"");
    check(&term_match("context.query", "item.title"), [2.0 / 3.0, 1.0 / 3.0, 0.0, NO, NO]);
    check(&term_match("user.likes", "item.tags"), [0.0, 0.5, 0.5, NO, NO]);
    // A query of each candidate's own; a term counts once, and c's title has none.
    check(&term_match("item.title", "item.genre"), [1.0 / 3.0, 0.25, NO, NO, NO]);
    check(&term_match("candidate.reason", "item.title"), [1.0, NO, NO, NO, NO]);
}

#[test]
fn bm25_counts_documents_among_the_candidates() {
    let bm25 = |query: &str, settings: &str| {
        format!("source = \"bm25\"\nquery = \"{query}\"\ntext = \"item.title\"\n{settings}")
    };
    // By hand: 3 texts of 8/3 terms in the mean, "daily" in one of them, "news" in two, "today" in none.
    check(&bm25("context.query", ""), [1.5725612026838964, 0.39019169220400696, 0.0, NO, NO]);
    // Without k1 only rarity is left, once for each time a term stands in the query.
    let (one, two) = (libm::log1p(2.5 / 1.5), libm::log1p(1.5 / 2.5));
    check(&bm25("context.query", "k1 = 0"), [one + two, two, 0.0, NO, NO]);
    let the = two;
    check(&bm25("item.title", "k1 = 0"), [the + one + two + one, two + one + the + one, NO, NO, NO]);
    check(&bm25("user.country", ""), [0.0, 0.0, 0.0, NO, NO]);
    let Column::Number(unknown) = column(&bm25("user.country", ""), &history(), None) else { panic!() };
    assert!(unknown.iter().all(|x| x.is_nan()), "no query, no value");
}

#[test]
fn crosses() {
    let cross = |left: &str, right: &str, more: &str| {
        format!("source = \"cross\"\nleft = \"{left}\"\nright = \"{right}\"\n{more}")
    };
    let categories = |source: &str, country: Option<&str>| -> Vec<Option<String>> {
        let Column::Category(c) = column(source, &history(), country) else { panic!("{source}: no categories") };
        (0..5).map(|row| c.get(row).map(str::to_owned)).collect()
    };
    let some = |names: [&str; 3]| -> Vec<Option<String>> {
        names.map(|n| Some(n.to_owned())).into_iter().chain([None, None]).collect()
    };
    let country = cross("user.country", "item.genre", "");
    assert_eq!(categories(&country, Some("gb")), some(["gb&news", "gb&news", "gb&talk"]));
    assert_eq!(categories(&country, Some("a&b\\")), some([r"a\&b\\&news", r"a\&b\\&news", r"a\&b\\&talk"]));
    assert_eq!(categories(&country, None), vec![None; 5]);
    // Exactly on a bound is above it.
    let age = cross("user.premium", "user.age", "right_bounds = [18, 30, 31]");
    assert_eq!(categories(&age, None), vec![Some("true&2".to_owned()); 5]);
    let price = cross("candidate.price", "item.genre", "left_bounds = [0]");
    assert_eq!(categories(&price, None), [Some("0&news".to_owned()), None, None, None, None]);
    let Column::Tags(tags) = column(&cross("item.genre", "item.tags", ""), &history(), None) else { panic!() };
    let tags: Vec<Vec<&str>> = (0..5).map(|row| tags.get(row).collect()).collect();
    assert_eq!(tags, [vec!["news&x"], vec!["news&y", "news&z"], vec!["talk&y"], vec![], vec![]]);
}

#[test]
fn impossible_sources_are_refused() {
    for (source, says) in [
        ("source = \"field\"\nfield = \"item.title\"", "read it with text_length"),
        ("source = \"text_length\"\nfield = \"item.genre\"", "text_length needs text"),
        ("source = \"text_length\"\nfield = \"item.title\"\nunit = \"bytes\"", "unknown variant"),
        ("source = \"term_match\"\nquery = \"user.age\"\ntext = \"item.title\"", "have terms"),
        ("source = \"term_match\"\nquery = \"context.query\"\ntext = \"item.shape\"", "have terms"),
        ("source = \"bm25\"\nquery = \"context.query\"\ntext = \"item.released\"", "have terms"),
        ("source = \"bm25\"\nquery = \"item.title\"\ntext = \"context.query\"", "one text for all"),
        ("source = \"bm25\"\nquery = \"context.query\"\ntext = \"item.title\"\nk1 = -1", "`k1` must be at least 0"),
        ("source = \"bm25\"\nquery = \"context.query\"\ntext = \"item.title\"\nb = nan", "`b` within 0 to 1"),
        ("source = \"cross\"\nleft = \"user.age\"\nright = \"item.genre\"", "give it `left_bounds`"),
        ("source = \"cross\"\nleft = \"user.likes\"\nright = \"item.tags\"", "both tags"),
        ("source = \"cross\"\nleft = \"user.taste\"\nright = \"item.tags\"", "cross takes categories"),
        (
            "source = \"cross\"\nleft = \"user.age\"\nright = \"item.genre\"\nleft_bounds = [2, 1]",
            "`left_bounds` must be in ascending order",
        ),
        (
            "source = \"cross\"\nleft = \"item.genre\"\nright = \"user.country\"\nright_bounds = [1]",
            "remove `right_bounds`",
        ),
    ] {
        let error = FeatureSpec::parse(&SPEC.replace("source = \"list_size\"", source)).expect_err(source).to_string();
        assert!(error.contains(says), "{source}: {error}");
    }
}

#[test]
fn a_user_without_history_has_zeros_and_missing_values() {
    let empty = HistoryView::default();
    for (source, expected) in [
        ("source = \"count\"\nscope = \"item\"", 0.0f32),
        ("source = \"decayed_count\"\nscope = \"all\"\nhalf_life = \"1d\"", 0.0),
        ("source = \"since_last\"\nscope = \"all\"", MISSING),
        ("source = \"share\"\nscope = \"all\"", MISSING),
        ("source = \"sessions\"\nscope = \"all\"\ngap = \"1h\"", 0.0),
    ] {
        let Column::Number(got) = column(source, &empty, None) else { panic!() };
        assert_eq!(got.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [expected.to_bits(); 5], "{source}");
    }
}

#[test]
fn a_longer_history_changes_nothing_before_the_request() {
    let whole = history();
    let mut entries = History::default();
    for (k, (hours, item, action, completion)) in HISTORY.iter().enumerate() {
        entries.insert(Entry::from(&interaction(
            &k.to_string(),
            NOW - (hours * HOUR as f64) as i64,
            item,
            action,
            *completion,
        )));
    }
    let seen = HistoryView::of(entries.entries());
    for source in [
        "source = \"count\"\nscope = \"item\"",
        "source = \"distinct\"\nscope = \"item.tags\"",
        "source = \"since_last\"\nscope = \"item\"",
    ] {
        assert_eq!(
            crate::codec::encode(&column(source, &whole, None)),
            crate::codec::encode(&column(source, &seen, None)),
            "{source}"
        );
    }
}

#[test]
fn kinds_are_what_sources_read() {
    assert!(
        matches!(column("source = \"field\"\nfield = \"user.taste\"", &history(), None), Column::Vector(v) if v.width == 2)
    );
    assert!(column("source = \"field\"\nfield = \"item.tags\"", &history(), None).check(Kind::Tags, 5).is_ok());
}
