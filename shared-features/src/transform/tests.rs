//! Every transform, with constants and results computed by hand.

use super::*;
use crate::column::{Categories, TagSets};
use crate::numeric::MISSING;

const USERS: [u32; 6] = [0, 1, 2, 3, 3, 4];

fn fit(text: &str, input: &Column, min_users: u32) -> Step {
    let table: toml::Table = toml::from_str(&format!("t = {text}")).unwrap();
    let transform: Transform = match table["t"].clone() {
        toml::Value::String(name) => Transform::deserialize_named(&name, toml::Table::new()).unwrap().unwrap(),
        value => value.try_into().unwrap(),
    };
    transform.fit(input, &Training { users: &USERS[..input.rows()], min_users })
}

/// What comes out of training numbers 0, 2, 4, 10 (and a missing one) for these inputs, by bits.
#[track_caller]
fn check(text: &str, inputs: &[f64], expected: &[f64]) {
    let training = Column::Number(vec![0.0, 2.0, MISSING, 4.0, 10.0]);
    let step = fit(text, &training, 1);
    let numbers = |x: &[f64]| x.iter().map(|&x| numeric::store(x)).collect::<Vec<f32>>();
    let out = match step.apply(Column::Number(numbers(inputs))) {
        Column::Number(x) => x,
        Column::Vector(v) => v.data,
        _ => panic!("{text}: no numbers"),
    };
    let expected = numbers(expected);
    assert_eq!(
        out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        expected.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        "{text}: {out:?}, expected {expected:?}"
    );
}

const NO: f64 = f64::NAN;

#[test]
fn numbers_in_numbers_out() {
    check("\"log1p\"", &[0.0, 1.0, -1.0, NO], &[0.0, libm::log1p(1.0), -libm::log1p(1.0), NO]);
    check("{ clip = { min = -1, max = 3 } }", &[-5.0, 2.0, 9.0, NO], &[-1.0, 2.0, 3.0, NO]);
    check("{ clip = { max = 3 } }", &[-5.0, 9.0], &[-5.0, 3.0]);
    let deviation = libm::sqrt((16.0 + 4.0 + 0.0 + 36.0) / 4.0);
    check("\"standardize\"", &[4.0, 10.0, NO], &[0.0, 6.0 / deviation, NO]);
    check("\"min_max\"", &[-1.0, 5.0, 11.0, NO], &[0.0, 0.5, 1.0, NO]);
    check("{ buckets = { bounds = [1, 5] } }", &[0.0, 1.0, 4.9, 5.0, NO], &[0.0, 1.0, 1.0, 2.0, NO]);
    check("{ quantiles = { buckets = 2 } }", &[0.0, 3.9, 4.0, NO], &[0.0, 0.0, 1.0, NO]);
    check("{ impute = { with = \"mean\" } }", &[1.0, NO], &[1.0, 4.0]);
    check("{ impute = { with = \"median\" } }", &[NO], &[2.0]);
    check("{ impute = { with = { value = -7 } } }", &[NO], &[-7.0]);
    check("\"indicator\"", &[3.0, NO], &[3.0, 0.0, NO, 1.0]);
    check("{ cyclic = { period = 4 } }", &[0.0, NO], &[0.0, 1.0, NO, NO]);
}

#[test]
fn a_vocabulary_keeps_values_of_enough_users() {
    let cells = [Some("a"), Some("a"), Some("b"), Some("c"), Some("c"), None];
    let column = Column::Category(Categories::collect(&cells));
    // c stands twice, but with one user; a has two.
    let step = fit("{ one_hot = { size = 8 } }", &column, 2);
    assert_eq!(step.slots().unwrap(), ["a", "(other)"]);
    let Column::Vector(out) = step.apply(Column::Category(Categories::collect(&[Some("a"), Some("zzz"), None]))) else {
        panic!()
    };
    assert_eq!((out.width, out.data), (2, vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
    let small = fit("{ one_hot = { size = 1 } }", &column, 1);
    assert_eq!(small.slots().unwrap(), ["a", "(other)"], "the value with the most users stays");
    let tags = Column::Tags(TagSets::collect(&[vec!["x", "y"], vec!["x"]]));
    let Column::Vector(out) = fit("{ one_hot = { size = 8 } }", &tags, 1).apply(tags.clone()) else { panic!() };
    assert_eq!(out.data, [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn hashes_are_known_and_stable() {
    let column = Column::Tags(TagSets::collect(&[vec!["a", "b"], vec![]]));
    let step = fit("{ hash = { buckets = 7 } }", &column, 1);
    let Column::Vector(out) = step.apply(column) else { panic!() };
    // FNV-1a of "a" is 0xaf63dc4c8601ec8c, of "b" 0xaf63df4c8601f1a5.
    let (a, b) = ((0xaf63_dc4c_8601_ec8cu64 % 7) as usize, (0xaf63_df4c_8601_f1a5u64 % 7) as usize);
    let mut expected = vec![0.0; 14];
    expected[a] += 1.0;
    expected[b] += 1.0;
    assert_eq!(out.data, expected);
    assert_eq!(step.slots().unwrap().len(), 7);
}

#[test]
fn impossible_settings_and_inputs_are_refused() {
    for (text, input, says) in [
        ("{ clip = { min = 3, max = 1 } }", Kind::Number, "min above its max"),
        ("{ cyclic = { period = 0 } }", Kind::Number, "needs a period above 0"),
        ("{ clip = { max = nan } }", Kind::Number, "nan"),
        ("{ buckets = { bounds = [nan] } }", Kind::Number, "ascending"),
        ("{ impute = { with = { value = nan } } }", Kind::Number, "nan"),
        ("{ buckets = { bounds = [2, 1] } }", Kind::Number, "ascending"),
        ("{ quantiles = { buckets = 1 } }", Kind::Number, "buckets"),
        ("{ one_hot = { size = 0 } }", Kind::Category, "size"),
        ("{ one_hot = { size = 5 } }", Kind::Number, "needs a category"),
        ("{ hash = { buckets = 0 } }", Kind::Tags, "buckets"),
        ("{ impute = { with = \"mean\" } }", Kind::Category, "needs a number"),
        ("{ cyclic = { period = 24 } }", Kind::Vector(2), "needs a number"),
    ] {
        let table: toml::Table = toml::from_str(&format!("t = {text}")).unwrap();
        let transform: Transform = table["t"].clone().try_into().unwrap();
        let error = transform.output(input).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn nothing_to_fit_gives_constants_that_work() {
    let empty = Column::Number(vec![MISSING; 3]);
    for text in
        ["\"standardize\"", "\"min_max\"", "{ quantiles = { buckets = 4 } }", "{ impute = { with = \"mean\" } }"]
    {
        let Column::Number(out) = fit(text, &empty, 1).apply(Column::Number(vec![0.5])) else { panic!() };
        assert!(out[0].is_finite(), "{text}");
    }
}
