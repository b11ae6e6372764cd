//! Bytes, hash, slots, placement and every rejection of an encoder.

use super::*;
use crate::codec;
use crate::column::{Categories, Vectors};
use crate::numeric::MISSING;
use crate::schema::Field;
use crate::spec::FeatureSpec;

const SPEC: &str = r#"
surface = "test"
fallback = "zero"
[schema.context]
hour = "number"
shape = "vector(2)"
genre = "category"
[label]
grades = { play = 1 }
[[features]]
name = "hour"
source = "field"
field = "context.hour"
transforms = [{ cyclic = { period = 4 } }, { impute = { with = { value = 9 } } }]
[[features]]
name = "unseen"
source = "list_size"
encode = false
[[features]]
name = "known"
source = "field"
field = "context.hour"
transforms = ["indicator", { impute = { with = "mean" } }]
[[features]]
name = "shape"
source = "field"
field = "context.shape"
transforms = ["min_max"]
[[features]]
name = "genre"
source = "field"
field = "context.genre"
transforms = [{ one_hot = { size = 2 } }]
[[features]]
name = "hashed"
source = "field"
field = "context.genre"
transforms = [{ hash = { buckets = 3 } }]
[[features]]
name = "size"
source = "list_size"
[[baselines]]
name = "zero"
score = "or(hour_or_size, 0)"
[[features]]
name = "hour_or_size"
source = "field"
field = "context.hour"
encode = false
"#;

/// Three rows; the last one has nothing.
fn values() -> Values {
    let genre = Column::Category(Categories::collect(&[Some("news"), Some("talk"), None]));
    let hour = Column::Number(vec![0.0, 4.0, MISSING]);
    let size = Column::Number(vec![3.0; 3]);
    let shape = Column::Vector(Vectors { width: 2, data: vec![0.0, 1.0, 2.0, 3.0, MISSING, MISSING] });
    Values { rows: 3, columns: vec![hour.clone(), size.clone(), hour.clone(), shape, genre.clone(), genre, size, hour] }
}

fn fitted() -> Encoder {
    let spec = FeatureSpec::parse(SPEC).unwrap();
    let training = Training { users: &[0, 1, 2], min_users: 1 };
    spec.unfitted.fit(&spec.features, &values(), &training).unwrap()
}

#[test]
fn every_feature_has_its_place_and_every_number_a_name() {
    let encoder = fitted();
    let slots = [
        "hour=sin",
        "hour=cos",
        "known=value",
        "known=missing",
        "shape[0]",
        "shape[1]",
        "genre=news",
        "genre=talk",
        "genre=(other)",
        "hashed=0",
        "hashed=1",
        "hashed=2",
        "size",
    ];
    assert_eq!(encoder.slots().iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), slots);
    assert_eq!(encoder.slots()[7].feature, "genre");
    assert_eq!(encoder.width, Some(slots.len() as u32));
    let vectors = encoder.encode(&values()).unwrap();
    let rows: Vec<&[f32]> = vectors.chunks(slots.len()).collect();
    assert_eq!(rows.len(), 3);
    // sin 0, cos 0; the hour and that it is known; 0/3 and 1/3 of the vectors' common range; news.
    assert_eq!(rows[0][..9], [0.0, 1.0, 0.0, 0.0, 0.0, (1.0 / 3.0) as f32, 1.0, 0.0, 0.0]);
    assert_eq!(rows[1][4..9], [(2.0 / 3.0) as f32, 1.0, 0.0, 1.0, 0.0]);
    // Missing: imputed by 9; the mean of all numbers that the indicator gave (0, 0, 4, 0, 1).
    assert_eq!(rows[2][..4], [9.0, 9.0, 1.0, 1.0]);
    assert_eq!(rows[2][4..6].iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [MISSING.to_bits(); 2]);
    assert_eq!(rows[2][6..12], [0.0; 6]);
    assert!(rows.iter().all(|row| row[12] == 3.0));
    assert!(rows[..2].iter().all(|row| row[9..12].iter().sum::<f32>() == 1.0));
}

#[test]
fn bytes_are_canonical_and_the_hash_is_of_them() {
    let encoder = fitted();
    let bytes = encoder.to_bytes();
    let read = Encoder::from_bytes(&bytes).unwrap();
    assert_eq!((&read, read.to_bytes()), (&encoder, bytes.clone()));
    assert_eq!(encoder.hash(), Digest::of(&bytes));
    assert_eq!(fitted().hash(), encoder.hash());
    let other = Encoder { history_length: 7, ..encoder.clone() };
    assert_ne!(other.hash(), encoder.hash());
}

#[test]
fn baselines_compute_with_values() {
    let encoder = fitted();
    assert_eq!(encoder.baseline(&encoder.baselines[0], &values()), [0.0, 4.0, 0.0]);
}

#[test]
fn values_of_another_encoder_are_refused() {
    let encoder = fitted();
    encoder.check_values(&values()).unwrap();
    let mut fewer = values();
    fewer.columns.pop();
    assert!(encoder.check_values(&fewer).unwrap_err().to_string().contains("7 columns of values for 8 features"));
    let mut short = values();
    short.rows = 4;
    assert!(encoder.check_values(&short).unwrap_err().to_string().contains("3 rows, expected 4"));
    let mut wrong = values();
    wrong.columns.swap(0, 3);
    assert!(encoder.check_values(&wrong).unwrap_err().to_string().contains("`hour`: a vector column"));
    let unfitted = FeatureSpec::parse(SPEC).unwrap().unfitted;
    assert_eq!(unfitted.encode(&values()), Err(EncoderError::NotFitted));
    let huge = Values { rows: u32::MAX, columns: Vec::new() };
    assert!(encoder.encode(&huge).unwrap_err().to_string().contains("too many for one call"));
}

#[test]
fn impossible_encoders_are_refused() {
    type Change = fn(&mut Encoder);
    let changes: [(Change, &str); 12] = [
        (|e| e.history_length = 0, "history length 0"),
        (|e| e.history_length = 4097, "history length 4097"),
        (|e| e.width = Some(0), "a vector of 0 numbers"),
        (|e| e.width = Some(12), "its features give 13"),
        (|e| e.width = Some(MAX_WIDTH as u32 + 1), "are allowed"),
        (|e| e.features[1].name = "hour".into(), "declared twice"),
        (|e| e.features[4].steps.clear(), "`genre`: its steps do not end in numbers"),
        (|e| e.schema.context.clear(), "there is no field `context.hour`"),
        (|e| e.baselines[0].expression = Expression::parse("nothing").unwrap(), "there is no feature `nothing`"),
        (|e| e.baselines[0].expression = Expression::parse("genre").unwrap(), "`genre` is a category"),
        (
            |e| e.schema.item.push(Field { name: "huge".into(), kind: Kind::Vector(u32::MAX) }),
            "item field `huge` is a vector of 4294967295 numbers",
        ),
        (
            |e| {
                let again = Field { kind: Kind::Boolean, ..e.schema.context[0].clone() };
                e.schema.context.push(again);
            },
            "context field `hour` is declared twice",
        ),
    ];
    for (change, says) in changes {
        let mut encoder = fitted();
        change(&mut encoder);
        let error = Encoder::from_bytes(&encoder.to_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
    let twice = |e: &mut Encoder| e.baselines.push(e.baselines[0].clone());
    let mut encoder = fitted();
    twice(&mut encoder);
    assert!(
        Encoder::from_bytes(&encoder.to_bytes()).unwrap_err().to_string().contains("baseline `zero`: declared twice")
    );
    assert!(matches!(Encoder::from_bytes(&codec::encode(&7u8)), Err(EncoderError::Codec(_))));
}
