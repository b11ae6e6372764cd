//! Schemas: TFDV's inference on its tutorial, both formats, edits, contradictions.

use std::fs;

use super::*;
use crate::data::statistics::{Settings, of};
use crate::data::taxi;

#[test]
fn the_schema_of_taxi_train_is_the_one_that_tfdv_infers() {
    let Some(folder) = taxi::folder("the_schema_of_taxi_train_is_the_one_that_tfdv_infers") else { return };
    let schema = infer(taxi::statistics(&folder, "taxi_train.csv").whole().unwrap());
    let theirs = fs::read_to_string(folder.join("tfdv_reference/schema_inferred_from_train.pbtxt")).unwrap();
    assert_eq!(schema.to_pbtxt(), (theirs.clone(), Vec::new()));
    assert_eq!(Schema::from_pbtxt(&theirs).unwrap(), schema);
    let toml = schema.to_toml().unwrap();
    assert_eq!(toml_edit::de::from_str::<Schema>(&toml).unwrap(), schema);
    let users = Schema::read(&folder.join("user_provided_schema.pbtxt")).unwrap();
    assert_eq!(users.feature("pickup_census_tract").unwrap().of, Type::Int);
}

fn inferred(csv: &str) -> Schema {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, csv).unwrap();
    infer(of(&[path], &Settings::default(), &|_, _| {}).unwrap().whole().unwrap())
}

#[test]
fn a_schema_is_inferred_by_the_rules() {
    let schema = inferred("id,flag,word,code,some,none,f\n1,1,true,07x,1,,0.5\n2,0,false,8y,,,1\n3,1,true,9z,2,,2\n");
    let expected = r#"[feature.id]
type = "int"
presence = { min_fraction = 1.0, min_count = 1 }
shape = [1]

[feature.flag]
type = "int"
presence = { min_fraction = 1.0, min_count = 1 }
shape = [1]
bool_domain = {}

[feature.word]
type = "bytes"
presence = { min_fraction = 1.0, min_count = 1 }
shape = [1]
bool_domain = { true = "true", false = "false" }

[feature.code]
type = "bytes"
presence = { min_fraction = 1.0, min_count = 1 }
shape = [1]
domain = "code"

[feature.some]
type = "int"
presence = { min_count = 1 }
value_count = { min = 1, max = 1 }

[feature.none]
type = "bytes"
presence = { min_count = 0 }

[feature.f]
type = "float"
presence = { min_fraction = 1.0, min_count = 1 }
shape = [1]

[domain.code]
values = [
    "07x",
    "8y",
    "9z",
]
"#;
    assert_eq!(schema.to_toml().unwrap(), expected);
    assert_eq!(toml_edit::de::from_str::<Schema>(expected).unwrap(), schema);
}

/// Every setting that both formats have.
const PBTXT: &str = r#"feature {
  name: "a"
  value_count {
    min: 1
    max: 3
  }
  type: BYTES
  domain: "words"
  presence {
    min_fraction: 0.5
    min_count: 1
  }
  distribution_constraints {
    min_domain_mass: 0.9
  }
  skew_comparator {
    infinity_norm {
      threshold: 0.01
    }
  }
  in_environment: "TRAINING"
  not_in_environment: "SERVING"
  drift_comparator {
    infinity_norm {
      threshold: 0.001
    }
    jensen_shannon_divergence {
      threshold: 0.25
    }
    normalized_abs_difference {
      threshold: 0.5
    }
  }
  unique_constraints {
    min: 2
    max: 10
  }
}
feature {
  name: "b"
  deprecated: true
  type: INT
  int_domain {
    min: -1
    max: 5
  }
  shape {
    dim {
      size: 2
    }
    dim {
      size: 3
    }
  }
}
feature {
  name: "c"
  type: FLOAT
  float_domain {
    min: 0.0
    max: 1.5
    disallow_nan: true
    disallow_inf: true
  }
}
feature {
  name: "d"
  type: BYTES
  string_domain {
    value: "say \"caf\303\251\""
  }
}
feature {
  name: "e"
  type: BYTES
  bool_domain {
    true_value: "yes"
    false_value: "no"
  }
}
string_domain {
  name: "words"
  value: "x"
  value: "y"
}
default_environment: "TRAINING"
default_environment: "SERVING"
dataset_constraints {
  num_examples_drift_comparator {
    min_fraction_threshold: 0.5
    max_fraction_threshold: 2.0
  }
  num_examples_version_comparator {
    min_fraction_threshold: 1.0
  }
  min_examples_count: 10
  max_examples_count: 1000
}
"#;

#[test]
fn both_formats_say_the_same() {
    let schema = Schema::from_pbtxt(PBTXT).unwrap();
    assert_eq!(schema.to_pbtxt(), (PBTXT.to_owned(), Vec::new()));
    let folder = tempfile::tempdir().unwrap();
    for name in ["schema.toml", "schema.pbtxt"] {
        let path = folder.path().join(name);
        assert!(schema.write(&path).unwrap().is_empty());
        assert_eq!(Schema::read(&path).unwrap(), schema, "{name}");
    }
    assert_eq!(schema.environments(), ["SERVING", "TRAINING"]);
}

#[test]
fn what_has_no_place_in_the_text_format_is_named() {
    let toml = "tolerance.quantile = 0.1\nseverity.SCHEMA_NEW_COLUMN = \"warning\"\nfeature.a.type = \"int\"\nfeature.a.drift.quantile = 0.2\n";
    let schema: Schema = toml_edit::de::from_str(toml).unwrap();
    let left_out = ["feature.a.drift.quantile", "tolerance", "severity.SCHEMA_NEW_COLUMN"];
    assert_eq!(schema.to_pbtxt().1, left_out);
}

#[test]
fn a_text_with_a_field_that_has_no_place_is_refused_by_name_and_line() {
    let cases = [
        (
            "feature {\n name: \"a\"\n type: INT\n struct_domain { }\n}",
            "line 4: there is no place for `struct_domain` of a feature; remove it",
        ),
        ("sparse_feature { }", "line 1: there is no place for `sparse_feature` of a schema; remove it"),
        (
            "feature { type: INT presence { min_share: 1 } }",
            "line 1: there is no place for `min_share` of a presence; remove it",
        ),
        ("\nfeature { name: \"a\" }", "line 2: a feature has no type"),
        ("feature { type: INT }", "line 1: a feature has no name"),
        ("feature { name: \"a\" type: STRUCT }", "line 1: `type` is no INT, FLOAT or BYTES"),
        ("feature { name: \"a\" type: INT presence { min_count: -1 } }", "line 1: `min_count` is no number that fits"),
        ("feature { type: INT name: a }", "line 1: `name` is no string"),
        ("feature: 3", "line 1: `feature` is no message"),
        ("feature {", "line 1: `}` is missing at the end"),
    ];
    for (text, message) in cases {
        assert_eq!(Schema::from_pbtxt(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn contradictions_are_refused() {
    let cases = [
        ("feature.a = { type = \"int\", domain = \"x\" }", "feature `a` is int and cannot have domain"),
        (
            "feature.a = { type = \"bytes\", domain = \"x\" }",
            "feature `a` has the domain `x`, which is not there; add [domain.x]",
        ),
        (
            "feature.a = { type = \"bytes\", int_domain = {}, bool_domain = {} }",
            "feature `a` has int_domain and bool_domain; keep one",
        ),
        (
            "feature.a = { type = \"int\", distribution = { min_domain_mass = 0.5 } }",
            "feature `a` has a min_domain_mass and no set of strings; give it a domain",
        ),
        (
            "feature.a = { type = \"int\", presence = { min_fraction = 1.5 } }",
            "presence.min_fraction of feature `a` is 1.5; it must be between 0 and 1",
        ),
        (
            "feature.a = { type = \"int\", int_domain = { min = 3, max = 2 } }",
            "int_domain of feature `a` is 3 to 2; it must be from less to more",
        ),
        ("feature.a = { type = \"int\", shape = [0] }", "shape of feature `a` is 0; it must be at least 1"),
        (
            "feature.a = { type = \"int\", drift = { quantile = 2.0 } }",
            "drift.quantile of feature `a` is 2; it must be between 0 and 1",
        ),
        ("tolerance.missing = -1.0", "tolerance.missing is -1; it must be between 0 and 1"),
    ];
    for (toml, message) in cases {
        let schema: Schema = toml_edit::de::from_str(toml).unwrap();
        assert_eq!(schema.check().unwrap_err().to_string(), message, "{toml}");
    }
}

#[test]
fn edits_keep_comments_and_are_refused_where_they_make_no_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.toml");
    let toml = r#"# Of the taxi trips.
[feature.pay]
type = "bytes"
domain = "pay" # see below
presence = { min_count = 1 } # always

[domain.pay]
values = [
    "Cash", # most
    "Card",
]
"#;
    fs::write(&path, toml).unwrap();
    let mut edited = Edited::open(&path).unwrap();
    for change in [
        "domain.pay.values+=Prcard",
        "feature.pay.distribution.min_domain_mass=0.9",
        "feature.pay.presence.min_fraction=1.0",
        "feature.pay.not_in_environment+=SERVING",
        "default_environment=[\"TRAINING\", \"SERVING\"]",
        "feature.\"a b\".type=int",
        "feature.pay.domain=\"pay\"",
        "feature.pay.presence.min_count=",
    ] {
        edited.change(change).unwrap_or_else(|error| panic!("{change}: {error}"));
    }
    edited.write().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for kept in [
        "# Of the taxi trips.",
        "domain = \"pay\" # see below",
        "# always",
        "    \"Cash\", # most\n",
        "    \"Prcard\",\n",
    ] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    let schema = Schema::read(&path).unwrap();
    let pay = schema.feature("pay").unwrap();
    assert_eq!(schema.strings(pay).unwrap().values, ["Cash", "Card", "Prcard"]);
    assert_eq!(pay.distribution.unwrap().min_domain_mass, Some(0.9));
    assert_eq!(pay.presence, Some(Presence { min_fraction: Some(1.0), min_count: None }));
    assert!(!schema.is_in(pay, Some("SERVING")) && schema.is_in(pay, Some("TRAINING")) && schema.is_in(pay, None));
    assert_eq!(schema.feature("a b").unwrap().of, Type::Int);

    let before = edited.schema().unwrap();
    for (change, message) in [
        ("feature.pay.color=red", "unknown field `color`"),
        ("feature.new.presence.min_count=1", "missing field `type`"),
        ("feature.pay.presence.min_fraction=2.0", "must be between 0 and 1"),
        ("feature.pay.type.x=1", "has no parts"),
        ("feature.pay.skew=", "is not there"),
        ("feature.pay.type+=x", "is no list"),
        ("feature.pay", "is no change; write PATH=VALUE"),
        ("feature..x=1", "is no path"),
    ] {
        let error = edited.change(change).unwrap_err();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(more) = cause {
            text.push_str(&more.to_string());
            cause = more.source();
        }
        assert!(text.contains(message), "{change}: {text}");
        assert_eq!(edited.schema().unwrap(), before, "{change}");
    }
}
