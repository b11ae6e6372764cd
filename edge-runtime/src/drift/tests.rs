use shared_features::column::{Categories, NO_CODE, TagSets};
use shared_features::numeric::MISSING;
use shared_features::spec::FeatureSpec;

use super::*;
use crate::profile::tests::SPEC;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Half of the numbers up to 1, a quarter up to 2, the rest above; `a` in three of four, tags `x` and others evenly.
fn drift() -> Drift {
    let encoder = FeatureSpec::parse(SPEC).unwrap().unfitted;
    let numbers = Spread::Numbers { cuts: vec![1.0, 2.0], counts: vec![4, 2, 2] };
    let genres = Spread::Strings { names: names(&["a", "b"]), counts: vec![6, 2, 0] };
    let tags = Spread::Strings { names: names(&["x"]), counts: vec![3, 3] };
    let features = [(0, numbers), (0, genres), (4, tags)].map(|(missing, spread)| FeatureProfile { missing, spread });
    let profile = Profile { rows: 8, features: features.to_vec() };
    let profile = Profile::from_bytes(&profile.to_bytes(), &encoder).unwrap();
    Drift::new(&encoder, profile)
}

/// Rows of the profile itself.
fn ordinary() -> Values {
    let genres = Categories { names: names(&["a", "b"]), codes: vec![0, 0, 0, 1] };
    let tags = TagSets { names: names(&["u", "x"]), offsets: vec![0, 1, 1, 2, 2], codes: vec![0, 1] };
    let columns = vec![Column::Number(vec![0.5, 1.0, 2.0, 9.0]), Column::Category(genres), Column::Tags(tags)];
    Values { rows: 4, columns }
}

fn counted(drift: &Drift, values: &Values, requests: u64) {
    (0..requests).for_each(|_| drift.count(values));
}

fn measured(drift: &Drift) -> Vec<(Option<f64>, Option<f64>)> {
    drift.measure().iter().map(|f| (f.missing, f.distribution)).collect()
}

#[test]
fn nothing_is_said_before_there_are_enough_requests() {
    let drift = drift();
    counted(&drift, &ordinary(), MIN_REQUESTS - 1);
    assert!(drift.measure().is_empty());
    assert!(!render(&[("home", "main", &drift)]).contains("hearth_feature_drift{"));
    counted(&drift, &ordinary(), 1);
    assert_eq!(measured(&drift), [(Some(0.0), Some(0.0)); 3]);
    assert_eq!(drift.counted(), (MIN_REQUESTS, 4 * MIN_REQUESTS));
    let text = render(&[("home", "main", &drift)]);
    let line = r#"hearth_feature_drift{surface="home",arm="main",feature="genre",measure="distribution"} 0"#;
    assert!(text.lines().any(|l| l == line), "{text}");
    assert!(text.contains("hearth_feature_drift_requests{surface=\"home\",arm=\"main\"} 500\n"), "{text}");
}

#[test]
fn distances_by_hand() {
    let drift = drift();
    let genres = Categories { names: names(&["A", "a"]), codes: vec![0, 1, NO_CODE, NO_CODE] };
    let tags = TagSets { names: names(&["x"]), offsets: vec![0, 1, 2, 3, 3], codes: vec![0, 0, 0] };
    let columns = vec![Column::Number(vec![MISSING, 1.5, 1.5, 1.5]), Column::Category(genres), Column::Tags(tags)];
    counted(&drift, &Values { rows: 4, columns }, MIN_REQUESTS);
    // Up to 1: a half against nothing; up to 2: three quarters against all.
    // `a`: three quarters against a half; others: nothing against a half. `x`: a half against all; missing: 4/8, 1/4.
    let expected = [(0.25, 0.5), (0.5, 0.5), (0.25, 0.5)];
    assert_eq!(measured(&drift), expected.map(|(missing, distribution)| (Some(missing), Some(distribution))));
}

#[test]
fn values_that_are_all_missing_have_no_distribution() {
    let drift = drift();
    let mut values = ordinary();
    values.columns[0] = Column::Number(vec![MISSING; 4]);
    counted(&drift, &values, MIN_REQUESTS);
    assert_eq!(measured(&drift)[0], (Some(1.0), None));
    // A few requests with a value are not enough either.
    counted(&drift, &ordinary(), 10);
    assert_eq!(measured(&drift)[0].1, None);
}

#[test]
fn what_is_old_is_forgotten() {
    let drift = drift();
    let mut changed = ordinary();
    changed.columns[0] = Column::Number(vec![50.0; 4]);
    counted(&drift, &changed, HALF);
    assert_eq!(measured(&drift)[0].1, Some(0.75));
    counted(&drift, &ordinary(), HALF);
    assert_eq!(measured(&drift)[0].1, Some(0.0));
    assert_eq!(drift.counted().0, HALF);
}

#[test]
fn values_that_do_not_fit_are_no_panic() {
    let drift = drift();
    drift.count(&Values { rows: 1, columns: Vec::new() });
    assert_eq!(drift.counted().0, 0);
    let broken = Categories { names: Vec::new(), codes: vec![7, 8] };
    let tags = TagSets { names: Vec::new(), offsets: vec![5, 1], codes: vec![3] };
    let columns = vec![Column::Category(broken), Column::Tags(tags), Column::Timestamp(vec![NO_TIME])];
    drift.count(&Values { rows: 2, columns });
    assert_eq!(drift.counted().0, 1);
}
