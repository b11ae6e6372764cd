//! Typing an event, and every rejection of a typed request.

use super::*;
use crate::column::Kind;
use crate::event::{Candidate, FieldValue};
use crate::schema::Field;

fn schema() -> Schema {
    let number = |name: &str| vec![Field { name: name.into(), kind: Kind::Number }];
    Schema { user: number("age"), context: number("hour"), item: Vec::new(), candidate: number("price") }
}

fn attribute(name: &str, x: f64) -> Attributes {
    Attributes::from([(name.to_owned(), Some(FieldValue::Number(x)))])
}

fn event() -> RequestEvent {
    RequestEvent {
        id: "r".into(),
        ts: 1,
        offset_min: 0,
        user: "u".into(),
        surface: "s".into(),
        attributes: Attributes::new(),
        context: attribute("hour", 4.0),
        candidates: vec![
            Candidate { item: "a".into(), fields: attribute("price", 2.0) },
            Candidate { item: "b".into(), fields: Attributes::new() },
        ],
        exclude: Vec::new(),
    }
}

#[test]
fn known_attributes_stand_in_where_the_request_has_none() {
    let age = |event: &RequestEvent| {
        let request = Request::new(event, Some(&attribute("age", 30.0)), &schema()).unwrap();
        request.check(&schema()).unwrap();
        request.user[0].clone()
    };
    assert_eq!(age(&event()), Column::Number(vec![30.0]));
    assert_eq!(age(&RequestEvent { attributes: attribute("age", 31.0), ..event() }), Column::Number(vec![31.0]));
}

#[test]
fn undeclared_fields_and_other_kinds_are_refused() {
    let unknown = RequestEvent { context: attribute("minute", 1.0), ..event() };
    let error = Request::new(&unknown, None, &schema()).unwrap_err().to_string();
    assert!(error.contains("unknown context field `minute`; the schema declares: hour"), "{error}");
    let text = Attributes::from([("age".to_owned(), Some(FieldValue::String("old".into())))]);
    let error = Request::new(&RequestEvent { attributes: text, ..event() }, None, &schema()).unwrap_err();
    assert!(error.to_string().contains("user field `age`: got the string"), "{error}");
}

#[test]
fn typed_requests_that_do_not_fit_are_refused_by_column() {
    type Change = fn(&mut Request);
    let changes: [(Change, &str); 5] = [
        (|r| r.user.clear(), "user column 1: 0 rows, expected 1"),
        (|r| r.context.push(Column::Number(vec![0.0])), "context column 1: 2 rows, expected 1"),
        (|r| r.user[0] = Column::Number(vec![1.0, 2.0]), "user column 0: 2 rows, expected 1"),
        (|r| r.candidates.push("c".into()), "candidate column 0: 2 rows, expected 3"),
        (|r| r.fields[0] = Column::Timestamp(vec![0, 0]), "candidate column 0: a timestamp column"),
    ];
    for (change, says) in changes {
        let mut request = Request::new(&event(), None, &schema()).unwrap();
        change(&mut request);
        let error = request.check(&schema()).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
}
