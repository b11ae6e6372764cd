//! Order, rules, exploration and what is logged, on requests of a few candidates.

use std::collections::BTreeMap;

use super::*;
use crate::encoder::Encoder;
use crate::event::{Attributes, Candidate, FieldValue, RequestEvent};
use crate::history::{Entry, HistoryView};
use crate::numeric::MISSING;
use crate::rank::{Parts, Scored, UNRANKED};
use crate::request::Request;
use crate::schema::Entity;
use crate::spec::FeatureSpec;
use crate::tables::{StatisticValues, Tables};

const SPEC: &str = r#"
surface = "test"
fallback = "zero"
CHANGE
[schema.item]
genre = "category"
tags = "tags"
[label]
grades = { play = 1 }
[tables]
statistics = [{ name = "plays", count = "interactions" }]
[[features]]
name = "size"
source = "list_size"
[[baselines]]
name = "zero"
score = "0"
"#;

struct World {
    encoder: Encoder,
    policy: Policy,
    tables: Tables,
    history: HistoryView,
}

/// Items a, b, e (news) and c (talk) are in the tables, a and b with 5 and 9 plays; the user hid b and played d.
/// Of their tags a shares one of two with b, and b all of c's.
fn world(change: &str) -> World {
    let spec = FeatureSpec::parse(&SPEC.replace("CHANGE", change)).unwrap_or_else(|e| panic!("{change}: {e}"));
    let item = |genre: &str, tags: &[&str]| {
        let tags = tags.iter().map(|t| (*t).to_owned()).collect();
        let fields = [("genre", FieldValue::String(genre.into())), ("tags", FieldValue::Strings(tags))];
        Attributes::from(fields.map(|(name, value)| (name.to_owned(), Some(value))))
    };
    let rows = [item("news", &["p", "q"]), item("news", &["q", "r"]), item("talk", &["r"]), item("news", &[])];
    let tables = Tables {
        as_of: 0,
        valid_from: 0,
        items: ["a", "b", "c", "e"].map(str::to_owned).to_vec(),
        attributes: spec.unfitted.schema.columns(Entity::Item, &rows.each_ref()).unwrap(),
        statistics: vec![StatisticValues { segments: vec![String::new()], data: vec![5.0, 9.0, MISSING, MISSING] }],
    };
    let entry = |ts, item: &str, action: &str| Entry {
        ts,
        id: format!("{ts}"),
        item: item.into(),
        action: action.into(),
        offset_min: 0,
        dwell_ms: MISSING,
        completion: MISSING,
    };
    let history =
        HistoryView::of(&[entry(1, "b", "hide"), entry(2, "d", "play"), entry(3, "a", "play"), entry(4, "d", "play")]);
    World { encoder: spec.unfitted, policy: spec.policy, tables, history }
}

impl World {
    fn rank(&self, id: &str, candidates: &[&str], exclude: &[&str], scores: &[f32]) -> crate::rank::Ranked {
        let event = RequestEvent {
            id: id.into(),
            ts: 10,
            offset_min: 0,
            user: "u".into(),
            surface: "test".into(),
            attributes: Attributes::new(),
            context: Attributes::new(),
            candidates: candidates
                .iter()
                .map(|item| Candidate { item: (*item).into(), fields: Attributes::new() })
                .collect(),
            exclude: exclude.iter().map(|s| (*s).to_owned()).collect(),
        };
        let request = Request::new(&event, None, &self.encoder.schema).unwrap();
        let parts = Parts { encoder: &self.encoder, policy: &self.policy, tables: &self.tables };
        parts.rank(&self.history, &request, "salt", |_| Scored { scores: scores.to_vec(), vectors: Vec::new() })
    }

    /// The slate's items.
    fn slate(&self, candidates: &[&str], exclude: &[&str], scores: &[f32]) -> String {
        let rows = self.rank("r", candidates, exclude, scores).rows;
        let shown = rows.items.iter().zip(&rows.ranks).filter(|(_, rank)| **rank != UNRANKED);
        shown.map(|(item, _)| item.as_str()).collect::<Vec<_>>().join("")
    }
}

#[test]
fn ties_go_to_the_earlier_candidate_and_nan_ranks_last() {
    assert_eq!(by_score(&[1.0, f32::NAN, 2.0, 1.0, -0.0, 0.0]), [2, 0, 3, 4, 5, 1]);
    let world = world("");
    assert_eq!(world.slate(&["x", "y", "z"], &[], &[0.0, f32::NAN, 0.0]), "xzy");
    assert_eq!(world.rank("r", &["x", "y"], &[], &[f32::NAN, 1.0]).nan_scores, 1);
}

#[test]
fn hidden_and_excluded_items_leave_and_quotas_hold() {
    let world = world("rules = { hide_after = [\"hide\"] }");
    assert_eq!(world.slate(&["a", "b", "c", "x"], &["x"], &[1.0, 4.0, 2.0, 3.0]), "ca");
    let world = self::world("rules = { at_most = [{ field = \"item.genre\", count = 1 }] }");
    assert_eq!(
        world.slate(&["a", "b", "c", "x", "y"], &[], &[1.0, 4.0, 2.0, 3.0, 0.5]),
        "bxcy",
        "items without a value are not limited"
    );
    let short = self::world("slate = 2");
    assert_eq!(short.slate(&["a", "b", "c"], &[], &[1.0, 3.0, 2.0]), "bc");
}

#[test]
fn similar_items_stand_apart_while_the_score_allows_it() {
    let slate = |rules: &str, candidates: &[&str], scores: &[f32]| {
        world(&format!("rules = {{ {rules} }}")).slate(candidates, &[], scores)
    };
    let genre = |weight: f64| format!("diversity = {{ field = \"item.genre\", weight = {weight}, top = 9 }}");
    let tags = |weight: f64| format!("diversity = {{ field = \"item.tags\", weight = {weight}, top = 9 }}");
    let (abc, scores) = (["a", "b", "c"], [3.0, 2.75, 2.5]);
    assert_eq!(slate(&genre(0.5), &abc, &scores), "acb");
    assert_eq!(slate(&genre(0.25), &abc, &scores), "abc", "a tie goes to the higher score");
    assert_eq!(slate(&genre(0.26), &abc, &scores), "acb");
    assert_eq!(slate(&genre(100.0), &["a", "x", "b", "y"], &[1.0, 4.0, 2.0, 3.0]), "xyba", "no value, no loss");
    // The most similar one above counts, not their number: e loses 0.5 after a and b, not 1.
    assert_eq!(slate(&genre(0.5), &["a", "b", "e", "c"], &[4.0, 3.75, 3.5, 2.75]), "abec");
    // b has half of a's tags.
    assert_eq!(slate(&tags(0.5), &abc, &scores), "abc");
    assert_eq!(slate(&tags(0.6), &abc, &scores), "acb");
    assert_eq!(slate(&tags(1.0), &["a", "e"], &[1.0, 0.5]), "ae");
    let first = "diversity = { field = \"item.genre\", weight = 0.5, top = 1 }";
    assert_eq!(slate(first, &abc, &scores), "abc", "after `top` places by score");
    let second = "diversity = { field = \"item.genre\", weight = 0.5, top = 2 }";
    assert_eq!(slate(second, &["a", "b", "e", "c", "x"], &[4.0, 3.75, 3.5, 3.5, 3.4]), "acbex");
    let both = format!("at_most = [{{ field = \"item.genre\", count = 2 }}], {}", genre(0.5));
    assert_eq!(slate(&both, &["a", "b", "e", "c"], &[4.0, 3.75, 3.5, 2.75]), "abc");
    assert_eq!(slate(&genre(0.5), &abc, &[f32::NAN, 1.0, f32::NAN]), "bac", "faults stay last");
}

#[test]
fn candidates_are_a_union_in_order_each_item_once() {
    let world = world(
        "candidates = [\"request\", { history = { length = 2 } }, { table = { rank_by = \"plays\", length = 9 } }]",
    );
    let rows = world.rank("r", &["x", "a"], &[], &[5.0, 4.0, 3.0, 2.0]).rows;
    // From the request x and a; from the history, newest first, d (a is there already); from the table b; c has no plays.
    assert_eq!(rows.items, ["x", "a", "d", "b"]);
    assert_eq!(rows.sources, [0, 0, 1, 2]);
}

#[test]
fn unshown_candidates_are_logged_with_their_probability() {
    let world = world("slate = 1\nlog_unshown = 2");
    let rows = world.rank("r", &["p", "q", "r", "s", "t"], &[], &[1.0, 2.0, 3.0, 4.0, 5.0]).rows;
    assert_eq!((rows.items.len(), rows.items[0].as_str()), (3, "t"));
    assert_eq!(rows.ranks, [0, UNRANKED, UNRANKED]);
    assert_eq!(rows.sampling, [1.0, 0.5, 0.5]);
    // Over many requests every candidate is drawn about equally often.
    let mut drawn = BTreeMap::new();
    for k in 0..1000 {
        for item in
            &world.rank(&k.to_string(), &["p", "q", "r", "s", "t"], &[], &[1.0, 2.0, 3.0, 4.0, 5.0]).rows.items[1..]
        {
            *drawn.entry(item.clone()).or_insert(0u32) += 1;
        }
    }
    assert_eq!(drawn.len(), 4);
    // Five standard errors around 500.
    assert!(drawn.values().all(|n| n.abs_diff(500) < 80), "{drawn:?}");
}

#[test]
fn exploration_is_repeatable_and_its_propensities_are_true() {
    let world = world("exploration = { plackett_luce = { temperature = 1.0, top = 2 } }");
    let scores = [1.0f32, 0.0, -1.0];
    let weight = |k: usize| libm::exp(f64::from(scores[k]));
    let all: f64 = (0..3).map(weight).sum();
    let mut first = [0u32; 3];
    for k in 0..4000 {
        let rows = world.rank(&k.to_string(), &["x", "y", "z"], &[], &scores).rows;
        assert_eq!(rows, world.rank(&k.to_string(), &["x", "y", "z"], &[], &scores).rows);
        let place = |item: &str| "xyz".find(item).unwrap();
        let (a, b) = (place(&rows.items[0]), place(&rows.items[1]));
        first[a] += 1;
        let expected = [weight(a) / all, weight(b) / (all - weight(a)), 1.0].map(|p| p as f32);
        for (got, expected) in rows.propensity.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
        }
    }
    for (k, count) in first.iter().enumerate() {
        let expected = 4000.0 * weight(k) / all;
        // Five standard errors.
        assert!((f64::from(*count) - expected).abs() < 160.0, "{first:?}");
    }
    let without = self::world("").rank("r", &["x", "y", "z"], &[], &scores).rows;
    assert!(without.propensity.iter().all(|p| p.is_nan()), "no exploration, no propensity");
}

#[test]
fn propensities_are_true_with_diversity_and_quotas() {
    let world = world(
        "rules = { at_most = [{ field = \"item.genre\", count = 2 }], \
           diversity = { field = \"item.genre\", weight = 1.5, top = 3 } }
         exploration = { plackett_luce = { temperature = 0.5, top = 4 } }",
    );
    let (items, scores) = ("abec", [0.0f32, 0.25, 0.5, -0.25]);
    // a, b and e are news, c is not.
    let news = |k: usize| k < 3;
    // The probability of a candidate after those above it.
    let probability = |above: &[usize], chosen: usize| {
        let of_genre = |k: usize| above.iter().filter(|&&a| news(a) == news(k)).count();
        let weight = |k: usize| {
            let loss = if of_genre(k) > 0 { 1.5 } else { 0.0 };
            libm::exp((f64::from(scores[k]) - loss) / 0.5)
        };
        let left = (0..4).filter(|k| !above.contains(k) && of_genre(*k) < 2);
        weight(chosen) / left.map(weight).sum::<f64>()
    };
    let (mut counts, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for k in 0..4000 {
        let rows = world.rank(&k.to_string(), &["a", "b", "e", "c"], &[], &scores).rows;
        assert_eq!(rows.ranks, [0, 1, 2, UNRANKED], "of a, b and e two may stay");
        let order: Vec<usize> = rows.items[..3].iter().map(|item| items.find(item).unwrap()).collect();
        let mut together = 1.0;
        for place in 0..3 {
            let p = probability(&order[..place], order[place]);
            let got = rows.propensity[place];
            assert!((f64::from(got) - p).abs() < 1e-6, "place {place} of {order:?}: {got}, expected {p}");
            together *= p;
        }
        *counts.entry(order.clone()).or_insert(0.0f64) += 1.0;
        expected.insert(order, 4000.0 * together);
    }
    for (order, expected) in &expected {
        // Five standard errors, at most.
        assert!((counts[order] - expected).abs() < 5.0 * libm::sqrt(*expected) + 1.0, "{order:?}: {counts:?}");
    }
    assert!(expected.len() > 12, "{expected:?}");
}

#[test]
fn nothing_to_rank_and_nothing_but_faults() {
    let world = world("exploration = { plackett_luce = { temperature = 0.5, top = 3 } }");
    assert!(world.rank("r", &[], &[], &[]).rows.items.is_empty());
    assert_eq!(world.slate(&["x", "y"], &[], &[f32::NAN, f32::NAN]), "xy");
    // Fewer scores than candidates: the missing ones rank last.
    assert_eq!(world.rank("r", &["x", "y"], &[], &[1.0]).nan_scores, 1);
}
