//! Every setting that a policy refuses, and that TOML and bytes give one policy.

use super::*;
use crate::spec::FeatureSpec;

const SPEC: &str = r#"
surface = "test"
fallback = "zero"
slate = 7
candidates = ["request", { history = { actions = ["play"], length = 3 } }, { table = { rank_by = "plays * 2", length = 4 } }]
rules = { hide_after = ["hide"], at_most = [{ field = "item.genre", count = 2 }], diversity = { field = "item.genre", weight = 0.5, top = 4 } }
exploration = { plackett_luce = { temperature = 0.5, top = 5 } }
[schema.item]
genre = "category"
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

#[test]
fn a_policy_from_toml_survives_its_bytes() {
    let spec = FeatureSpec::parse(SPEC).unwrap();
    assert_eq!(spec.policy.exploration, Exploration::PlackettLuce { temperature: 0.5, top: 5 });
    assert_eq!(spec.policy.candidates.len(), 3);
    assert_eq!(spec.policy.rules.diversity.as_ref().map(|d| (d.weight, d.top)), Some((0.5, 4)));
    assert_eq!(Policy::from_bytes(&spec.policy.to_bytes(), &spec.unfitted).unwrap(), spec.policy);
}

fn diversity(policy: &mut Policy) -> &mut Diversity {
    policy.rules.diversity.as_mut().unwrap()
}

#[test]
fn impossible_settings_are_refused_by_name() {
    type Change = fn(&mut Policy);
    let changes: [(Change, &str, &str); 18] = [
        (|p| p.fallback = "other".into(), "fallback", "no baseline `other`"),
        (|p| p.candidates.clear(), "candidates", "at least one"),
        (|p| p.candidates = vec![CandidateSource::Request; 257], "candidates", "at most 256"),
        (|p| p.slate = 0, "slate", "0 is not within"),
        (|p| p.slate = 4097, "slate", "4097 is not within"),
        (|p| p.candidates = vec![CandidateSource::History { actions: None, length: 0 }], "candidates", "length 0"),
        (
            |p| p.candidates = vec![CandidateSource::History { actions: None, length: 5000 }],
            "candidates",
            "length 5000",
        ),
        (|p| p.rules.at_most[0].count = 0, "rules", "count at least 1"),
        (|p| p.rules.at_most[0].field.name = "none".into(), "rules", "`item.none`"),
        (|p| p.rules.at_most[0].field.entity = Entity::User, "rules", "`user.genre`"),
        (|p| diversity(p).field.name = "none".into(), "rules", "`item.none`"),
        (|p| diversity(p).field.entity = Entity::Candidate, "rules", "`candidate.genre`"),
        (|p| diversity(p).weight = 0.0, "rules", "weight must be a number above 0"),
        (|p| diversity(p).weight = f64::INFINITY, "rules", "weight must be a number above 0"),
        (|p| diversity(p).top = 257, "rules", "top 257"),
        (
            |p| p.exploration = Exploration::PlackettLuce { temperature: 0.0, top: 1 },
            "exploration",
            "temperature must be a number above 0",
        ),
        (
            |p| p.exploration = Exploration::PlackettLuce { temperature: f64::NAN, top: 1 },
            "exploration",
            "temperature must be a number above 0",
        ),
        (|p| p.exploration = Exploration::PlackettLuce { temperature: 1.0, top: 257 }, "exploration", "top 257"),
    ];
    let spec = FeatureSpec::parse(SPEC).unwrap();
    for (change, expected, says) in changes {
        let mut policy = spec.policy.clone();
        change(&mut policy);
        let Err(PolicyError::Settings { key, reason }) = Policy::from_bytes(&policy.to_bytes(), &spec.unfitted) else {
            panic!("{says}")
        };
        assert!(key == expected && reason.contains(says), "{key}: {reason}");
    }
    let mut unknown = spec.policy.clone();
    unknown.candidates =
        vec![CandidateSource::Table { rank_by: RankBy { expression: Expression::parse("likes").unwrap() }, length: 1 }];
    let error = unknown.check(&spec.unfitted).unwrap_err().to_string();
    assert!(error.contains("no table statistic `likes`"), "{error}");
    assert!(matches!(Policy::from_bytes(&[], &spec.unfitted), Err(PolicyError::Codec(_))));
}
