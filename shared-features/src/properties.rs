//! Properties that hold for every input: bytes never panic, checked inputs never panic, the future is never seen.

use proptest::prelude::*;

use crate::column::NO_TIME;
use crate::digest::Digest;
use crate::encoder::{Encoder, Values};
use crate::event::{Attributes, Candidate, FieldValue, RequestEvent};
use crate::feature_log::Record;
use crate::history::{Entry, History, HistoryView};
use crate::policy::Policy;
use crate::rank::{Parts, Ranked, Scored};
use crate::request::Request;
use crate::schema::Entity;
use crate::spec::FeatureSpec;
use crate::tables::{StatisticValues, Tables};
use crate::transform::Training;
use crate::{codec, numeric, wire};

/// A surface with every source and nearly every transform.
const SPEC: &str = r#"
surface = "test"
fallback = "best"
slate = 5
candidates = ["request", { history = { length = 4 } }, { table = { rank_by = "plays / (local - 1)", length = 3 } }]
rules = { hide_after = ["hide"], at_most = [{ field = "item.genre", count = 2 }], diversity = { field = "item.tags", weight = 0.3, top = 4 } }
exploration = { plackett_luce = { temperature = 0.1, top = 3 } }
history = { length = 5 }
[schema.user]
country = "category"
likes = "tags"
taste = "vector(2)"
age = "number"
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
statistics = [
  { name = "plays", count = "interactions" },
  { name = "local", count = "interactions", by = "user.country" },
]
FEATURES
[[baselines]]
name = "best"
score = "or(f0 / f1 - log1p(f2), max(f3, min(f4, 1e300 * 1e300 * -1)))"
"#;

/// A source, and the transforms after it.
const FEATURES: [(&str, &str); 30] = [
    ("source = \"count\"\nscope = \"item\"\nwindow = \"1d\"\nsame = \"hour_or_next\"", "\"log1p\""),
    ("source = \"decayed_count\"\nscope = \"item.tags\"\nhalf_life = \"1ms\"", "\"standardize\""),
    ("source = \"decayed_count\"\nscope = \"all\"\nhalf_life = \"1000w\"", "\"min_max\""),
    ("source = \"since_last\"\nscope = \"item.genre\"\nnth = 2", "{ quantiles = { buckets = 3 } }"),
    ("source = \"share\"\nscope = \"item\"\nprior = 0.5\nweight = 1", "{ cyclic = { period = 1e-300 } }"),
    ("source = \"action_rate\"\nscope = \"item.tags\"\nof = [\"play\"]\nover = [\"hide\"]", "\"indicator\""),
    ("source = \"mean\"\nof = \"dwell_seconds\"\nscope = \"item\"", "{ impute = { with = \"median\" } }"),
    ("source = \"mean\"\nof = \"completion\"\nscope = \"all\"", "{ clip = { min = 0.1, max = 0.2 } }"),
    ("source = \"distinct\"\nscope = \"item.genre\"", "{ buckets = { bounds = [1, 2] } }"),
    ("source = \"sessions\"\nscope = \"all\"\ngap = \"0s\"", ""),
    ("source = \"count\"\nscope = \"all\"\nsame = \"hour_of_week\"", ""),
    ("source = \"count\"\nscope = \"item.tags\"\nsame = \"weekend\"", ""),
    ("source = \"statistic\"\nstatistic = \"local\"", "\"standardize\", \"log1p\""),
    ("source = \"smoothed_rate\"\nof = \"plays\"\nover = \"local\"\nprior = [0, 1e-300]", ""),
    ("source = \"match\"\nleft = \"item.genre\"\nright = \"candidate.reason\"", ""),
    ("source = \"overlap\"\nleft = \"item.tags\"\nright = \"user.likes\"", ""),
    ("source = \"dot\"\nleft = \"item.shape\"\nright = \"user.taste\"", "\"standardize\""),
    ("source = \"age\"\nfield = \"item.released\"", "{ cyclic = { period = 7 } }"),
    ("source = \"time\"\npart = \"weekday\"", "{ cyclic = { period = 7 } }"),
    ("source = \"field\"\nfield = \"item.tags\"", "{ one_hot = { size = 3 } }"),
    ("source = \"field\"\nfield = \"candidate.reason\"", "{ hash = { buckets = 3 } }"),
    ("source = \"text_length\"\nfield = \"item.title\"", "\"log1p\""),
    ("source = \"text_length\"\nfield = \"context.query\"\nunit = \"characters\"", ""),
    ("source = \"term_match\"\nquery = \"context.query\"\ntext = \"item.tags\"", "\"indicator\""),
    ("source = \"bm25\"\nquery = \"context.query\"\ntext = \"item.title\"", "\"standardize\""),
    ("source = \"bm25\"\nquery = \"item.tags\"\ntext = \"candidate.reason\"\nk1 = 1e308\nb = 1", ""),
    ("source = \"cross\"\nleft = \"user.country\"\nright = \"item.genre\"", "{ hash = { buckets = 3 } }"),
    ("source = \"cross\"\nleft = \"candidate.reason\"\nright = \"item.tags\"", "{ one_hot = { size = 3 } }"),
    (
        "source = \"cross\"\nleft = \"candidate.price\"\nleft_bounds = [-inf, 0, 1]\nright = \"user.country\"",
        "{ one_hot = { size = 3 } }",
    ),
    ("source = \"field\"\nfield = \"candidate.price\"", "\"standardize\", \"indicator\", \"log1p\""),
];

fn spec() -> FeatureSpec {
    let features: String = FEATURES
        .iter()
        .enumerate()
        .map(|(k, (source, steps))| format!("[[features]]\nname = \"f{k}\"\n{source}\ntransforms = [{steps}]\n"))
        .collect();
    // `1e300 * 1e300` overflows to infinity while it is computed, which an expression may do.
    FeatureSpec::parse(&SPEC.replace("FEATURES", &features)).unwrap()
}

const NAMES: [&str; 6] = ["", "a", "b", "c", "é", "unknown"];

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

/// Every `f64`, and the odd ones often.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        proptest::sample::select(&[0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310, f64::MAX][..]),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -5i64..5, proptest::sample::select(&[i64::MIN, i64::MIN + 1, i64::MAX][..])]
}

fn entry() -> impl Strategy<Value = Entry> {
    let action = proptest::sample::select(&["play", "hide", ""][..]);
    (time(), 0u32..1000, name(), action, any::<i16>(), number(), number()).prop_map(
        |(ts, id, item, action, offset_min, dwell_ms, completion)| Entry {
            ts,
            id: id.to_string(),
            item,
            action: action.into(),
            offset_min,
            dwell_ms: numeric::store(dwell_ms),
            completion: numeric::store(completion),
        },
    )
}

fn text(s: String) -> Option<FieldValue> {
    Some(FieldValue::String(s))
}

fn tables(spec: &FeatureSpec) -> impl Strategy<Value = Tables> + use<> {
    let schema = spec.unfitted.schema.clone();
    let item = (name(), proptest::collection::vec(name(), 0..3), any::<i32>(), [number(), number()], any::<bool>());
    let rows = proptest::collection::btree_map(name(), item, 0..5);
    (rows, proptest::collection::vec(number(), 15)).prop_map(move |(rows, numbers)| {
        let attributes: Vec<Attributes> = rows
            .values()
            .map(|(genre, tags, released, shape, known)| {
                let fields = [
                    ("genre", text(genre.clone())),
                    ("title", known.then(|| FieldValue::String(format!("{genre}, {}", tags.join(" "))))),
                    ("tags", Some(FieldValue::Strings(tags.clone()))),
                    ("released", Some(FieldValue::Number(f64::from(*released)))),
                    ("shape", known.then(|| FieldValue::Numbers(shape.to_vec()))),
                ];
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            })
            .collect();
        let items = rows.len();
        let data = |from: usize, n: usize| numbers[from..from + n].iter().map(|x| numeric::store(*x)).collect();
        Tables {
            as_of: NO_TIME,
            valid_from: NO_TIME,
            items: rows.into_keys().collect(),
            attributes: schema.columns(Entity::Item, &attributes.iter().collect::<Vec<_>>()).unwrap(),
            statistics: vec![
                StatisticValues { segments: vec![String::new()], data: data(0, items) },
                StatisticValues { segments: vec!["".into(), "a".into()], data: data(5, items * 2) },
            ],
        }
    })
}

fn request(spec: &FeatureSpec) -> impl Strategy<Value = Request> + use<> {
    let schema = spec.unfitted.schema.clone();
    let candidates = proptest::collection::vec((name(), name(), number()), 0..6);
    (time(), any::<i16>(), name(), number(), candidates, any::<bool>()).prop_map(
        move |(ts, offset_min, country, age, candidates, known)| {
            let user = [
                ("country", text(country.clone())),
                ("likes", Some(FieldValue::Strings(vec![country.clone(), "b".into()]))),
                ("taste", known.then(|| FieldValue::Numbers(vec![age, -age]))),
                ("age", Some(FieldValue::Number(age))),
            ];
            let candidate = |(item, reason, price): (String, String, f64)| {
                let fields = [("reason", text(reason)), ("price", Some(FieldValue::Number(price)))];
                Candidate { item, fields: fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect() }
            };
            let event = RequestEvent {
                id: country.clone(),
                ts,
                offset_min,
                user: "u".into(),
                surface: "test".into(),
                attributes: user.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
                context: Attributes::from([("query".into(), text(format!("a {country} A")))]),
                candidates: candidates.into_iter().map(candidate).collect(),
                exclude: vec!["c".into()],
            };
            Request::new(&event, None, &schema).unwrap()
        },
    )
}

/// Reads, fits on what was read, encodes and ranks; every stored number is canonical.
fn run(spec: &FeatureSpec, tables: &Tables, history: &HistoryView, request: &Request, scores: &[f32]) -> Ranked {
    let parts = Parts { encoder: &spec.unfitted, policy: &spec.policy, tables };
    let (scene, _) = parts.scene(history, request);
    let values = spec.unfitted.extract(&scene);
    spec.unfitted.check_values(&values).unwrap();
    let users: Vec<u32> = (0..values.rows).collect();
    let fitted = spec.unfitted.fit(&spec.features, &values, &Training { users: &users, min_users: 1 }).unwrap();
    assert_eq!(Encoder::from_bytes(&fitted.to_bytes()).unwrap().to_bytes(), fitted.to_bytes());
    assert_eq!(fitted.slots().len(), fitted.width.unwrap() as usize);
    let vectors = fitted.encode(&values).unwrap();
    let canonical = |x: &f32| x.to_bits() == numeric::store_f32(*x).to_bits();
    assert!(vectors.iter().all(canonical), "{vectors:?}");
    assert!(fitted.baseline(&fitted.baselines[0], &values).iter().all(canonical));
    let ranked = parts.rank(history, request, "salt", |_| Scored { scores: scores.to_vec(), vectors });
    assert!(ranked.rows.scores.iter().all(canonical));
    let drawn = |p: &f32| p.is_nan() || (0.0..=1.0).contains(p);
    assert!(ranked.rows.propensity.iter().chain(&ranked.rows.sampling).all(drawn));
    ranked
}

fn read_everything(bytes: &[u8], spec: &FeatureSpec) {
    let encoder = &spec.unfitted;
    let _ = Encoder::from_bytes(bytes);
    let _ = Policy::from_bytes(bytes, encoder);
    let _ = Tables::from_bytes(bytes, &encoder.schema, &encoder.statistics);
    let _ = History::from_bytes(bytes).map(|history| history.view(0, 3));
    let _ = codec::decode::<wire::Load>(bytes, "load");
    let _ = codec::decode::<Record>(bytes, "record");
    let _ = codec::decode::<Digest>(bytes, "digest");
    let _ = codec::decode::<wire::RankReply>(bytes, "reply");
    let _ = codec::decode::<wire::Call>(bytes, "call").map(|call| call.check(&encoder.schema));
    let _ = codec::decode::<Values>(bytes, "values").map(|values| encoder.check_values(&values));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let spec = spec();
        read_everything(&bytes, &spec);
        if let Some(first) = bytes.first_mut() {
            *first = codec::VERSION;
        }
        read_everything(&bytes, &spec);
    }

    #[test]
    fn checked_inputs_never_panic(
        (tables, request) in (tables(&spec()), request(&spec())),
        entries in proptest::collection::vec(entry(), 0..12),
        scores in proptest::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..14),
    ) {
        let spec = spec();
        let history = HistoryView::of(History::from_entries(entries).entries());
        prop_assert!(history.is_consistent());
        Tables::from_bytes(&tables.to_bytes(), &spec.unfitted.schema, &spec.unfitted.statistics).unwrap();
        request.check(&spec.unfitted.schema).unwrap();
        run(&spec, &tables, &history, &request, &scores);
    }

    #[test]
    fn a_parsed_bundle_never_panics(
        (tables, request) in (tables(&spec()), request(&spec())),
        entries in proptest::collection::vec(entry(), 0..12),
        change in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let spec = spec();
        let history = HistoryView::of(History::from_entries(entries).entries());
        let parts = Parts { encoder: &spec.unfitted, policy: &spec.policy, tables: &tables };
        let values = spec.unfitted.extract(&parts.scene(&history, &request).0);
        let users: Vec<u32> = (0..values.rows).collect();
        let fitted = spec.unfitted.fit(&spec.features, &values, &Training { users: &users, min_users: 1 }).unwrap();
        let altered = |mut bytes: Vec<u8>| {
            for (index, byte) in &change {
                let at = index.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes
        };
        // One part altered at a time; what still parses must rank.
        for part in 0..3 {
            let pick = |k: usize, bytes: Vec<u8>| if k == part { altered(bytes) } else { bytes };
            let Ok(encoder) = Encoder::from_bytes(&pick(0, fitted.to_bytes())) else { continue };
            let Ok(policy) = Policy::from_bytes(&pick(1, spec.policy.to_bytes()), &encoder) else { continue };
            let bytes = pick(2, tables.to_bytes());
            let Ok(tables) = Tables::from_bytes(&bytes, &encoder.schema, &encoder.statistics) else { continue };
            if request.check(&encoder.schema).is_err() {
                continue;
            }
            let parts = Parts { encoder: &encoder, policy: &policy, tables: &tables };
            parts.rank(&history, &request, "salt", |values| {
                let vectors = encoder.encode(values).unwrap();
                let scores = encoder.baseline(&encoder.baselines[0], values);
                Scored { scores, vectors }
            });
        }
    }

    /// One id may come with several times: the first to arrive stays, one at a time or all at once, and over storage.
    #[test]
    fn an_interaction_counts_once_whenever_its_id_comes_again(arrivals in proptest::collection::vec((0u32..6, -3i64..3), 0..24)) {
        let arrivals: Vec<Entry> = arrivals
            .into_iter()
            .map(|(id, ts)| Entry {
                ts,
                id: id.to_string(),
                item: format!("at {ts}"),
                action: "play".into(),
                offset_min: 0,
                dwell_ms: 0.0,
                completion: 0.0,
            })
            .collect();
        let mut one_at_a_time = History::default();
        let mut first = std::collections::BTreeMap::new();
        for entry in &arrivals {
            prop_assert_eq!(one_at_a_time.insert(entry.clone()), !first.contains_key(&entry.id));
            first.entry(entry.id.clone()).or_insert(entry.ts);
        }
        prop_assert_eq!(one_at_a_time.to_bytes(), History::from_entries(arrivals).to_bytes());
        let stored = History::from_bytes(&one_at_a_time.to_bytes()).unwrap();
        let kept: std::collections::BTreeMap<String, i64> = stored.entries().iter().map(|e| (e.id.clone(), e.ts)).collect();
        prop_assert_eq!(kept, first);
    }

    #[test]
    fn the_future_is_never_seen(
        (tables, request) in (tables(&spec()), request(&spec())),
        entries in proptest::collection::vec(entry(), 0..12),
        scores in proptest::collection::vec(-1.0f32..1.0, 14),
    ) {
        let spec = spec();
        let length = spec.unfitted.history_length;
        // Of two interactions with one id the first to arrive stays, so ids are made distinct before the future is cut off.
        let whole = History::from_entries(entries);
        let entries = whole.entries().to_vec();
        let past = History::from_entries(entries.into_iter().filter(|e| e.ts < request.ts).collect());
        let expected = codec::encode(&run(&spec, &tables, &past.view(request.ts, length), &request, &scores));
        for view in [HistoryView::of(whole.entries()), HistoryView::of(past.entries()), whole.view(request.ts, length)] {
            prop_assert_eq!(&codec::encode(&run(&spec, &tables, &view, &request, &scores)), &expected);
        }
    }
}
