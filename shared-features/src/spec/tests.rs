//! Every error of a spec names its line.

use super::*;

const GOOD: &str = r#"surface = "test"
fallback = "popular"
slate = 5
candidates = ["request"]

[schema.user]
country = "category"

[schema.item]
genre = "category"
minutes = "number"
released = "timestamp"

[label]
grades = { play = 1 }

[tables]
statistics = [{ name = "plays", count = "interactions" }]

[[features]]
name = "plays"
source = "statistic"
statistic = "plays"
transforms = ["log1p", { clip = { min = 0, max = 9 } }]

[[features]]
name = "genre"
source = "field"
field = "item.genre"
transforms = [{ one_hot = { size = 8 } }]

[[baselines]]
name = "popular"
score = "plays"
"#;

/// Replaces a line; the error must name the line where the replacement begins, and say this.
#[track_caller]
fn check(line: &str, with: &str, says: &str) {
    let at = GOOD.lines().position(|l| l == line).unwrap_or_else(|| panic!("no line `{line}`")) + 1;
    check_at(&GOOD.replacen(line, with, 1), at, 1, says);
}

#[track_caller]
fn check_at(text: &str, at: usize, tolerance: usize, says: &str) {
    let error = FeatureSpec::parse(text).expect_err("the spec is impossible");
    assert!(error.reason.contains(says), "`{error}` does not say `{says}`");
    assert!(error.line.abs_diff(at) <= tolerance, "`{error}`, expected line {at}");
}

#[test]
fn a_good_spec_is_read() {
    let spec = FeatureSpec::parse(GOOD).unwrap();
    assert_eq!((spec.surface(), spec.features.len(), spec.policy.slate), ("test", 2, 5));
    assert_eq!(spec.label.window, Duration { ms: 1_800_000 });
    assert_eq!(spec.unfitted.history_length, 1000);
}

#[test]
fn unknown_and_missing_keys() {
    check("slate = 5", "slat = 5", "slat");
    check("surface = \"test\"", "", "surface");
    check("statistic = \"plays\"", "statistic = \"plays\"\nwidow = 3", "widow");
    check(
        "transforms = [\"log1p\", { clip = { min = 0, max = 9 } }]",
        "transforms = [{ clip = { minimum = 0 } }]",
        "minimum",
    );
    check("grades = { play = 1 }", "grades = { play = 1 }\nwindows = \"1h\"", "windows");
    check("score = \"plays\"", "score = \"plays\"\nextra = 1", "extra");
}

#[test]
fn impossible_values() {
    check("slate = 5", "slate = \"many\"", "invalid type");
    check("slate = 5", "slate = 0", "slate");
    check("minutes = \"number\"", "minutes = \"numbers\"", "`numbers` is not a kind");
    check("grades = { play = 1 }", "grades = { play = 1 }\nwindow = \"soon\"", "`soon` is not a duration");
    check("candidates = [\"request\"]", "candidates = []", "candidates");
    check(
        "candidates = [\"request\"]",
        "candidates = [{ table = { rank_by = \"nothing\", length = 5 } }]",
        "no table statistic `nothing`",
    );
    check("fallback = \"popular\"", "fallback = \"none\"", "no baseline `none`");
    check("slate = 5", "slate = 5\nexploration = { plackett_luce = { temperature = 0, top = 5 } }", "temperature");
    check("slate = 5", "slate = 5\nrules = { at_most = [{ field = \"item.minutes\", count = 2 }] }", "item.minutes");
    check(
        "slate = 5",
        "slate = 5\nrules = { diversity = { field = \"item.minutes\", weight = 1, top = 5 } }",
        "item.minutes",
    );
    check(
        "slate = 5",
        "slate = 5\nrules = { diversity = { field = \"item.genre\", wait = 1, top = 5 } }",
        "unknown field `wait`",
    );
    check("slate = 5", "slate = 5\nhistory = { length = 9999 }", "history length");
}

#[test]
fn impossible_features() {
    // Features are named by the line of their table.
    check("name = \"genre\"", "name = \"plays\"", "declared twice");
    check("name = \"genre\"", "name = \"2nd\"", "not a feature name");
    check("source = \"field\"", "source = \"filed\"", "there is no source `filed`");
    check("transforms = [{ one_hot = { size = 8 } }]", "transforms = [\"one_hat\"]", "there is no transform `one_hat`");
    let genre = GOOD.lines().position(|l| l == "name = \"genre\"").unwrap() + 1;
    check_at(
        &GOOD.replace("field = \"item.genre\"", "field = \"item.gerne\""),
        genre,
        1,
        "there is no field `item.gerne`",
    );
    check_at(&GOOD.replace("field = \"item.genre\"", "field = \"item.released\""), genre, 1, "is a timestamp");
    check_at(&GOOD.replace("field = \"item.genre\"", "field = \"genre\""), genre, 3, "`genre` is not a field");
    check_at(&GOOD.replace("[{ one_hot = { size = 8 } }]", "[]"), genre, 1, "models need numbers");
    check_at(&GOOD.replace("[{ one_hot = { size = 8 } }]", "[\"log1p\"]"), genre, 1, "`log1p` needs a number");
    check("statistic = \"plays\"", "statistic = \"place\"", "there is no statistic `place`");
}

#[test]
fn impossible_baselines_and_statistics() {
    check("score = \"plays\"", "score = \"plays +\"", "expected a number, a name or `(`");
    check("score = \"plays\"", "score = \"place\"", "there is no feature `place`");
    check("score = \"plays\"", "score = \"genre\"", "baselines compute with numbers");
    let tables = GOOD.lines().position(|l| l == "[tables]").unwrap() + 1;
    let twice = GOOD
        .replace("count = \"interactions\" }", "count = \"interactions\" }, { name = \"plays\", count = \"users\" }");
    check_at(&twice, tables, 1, "declared twice");
    let by = GOOD.replace("count = \"interactions\" }", "count = \"interactions\", by = \"item.genre\" }");
    check_at(&by, tables, 1, "no user or context category");
    let actions = GOOD.replace("count = \"interactions\" }", "count = \"impressions\", actions = [\"play\"] }");
    check_at(&actions, tables, 1, "impressions, which have no actions");
}

#[test]
fn a_text_that_is_not_toml() {
    check("slate = 5", "slate = = 5", "");
    assert!(FeatureSpec::parse("").is_err());
}
