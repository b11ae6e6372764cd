use super::*;

fn category(cells: &[Option<&str>]) -> Column {
    Column::Category(Categories::collect(cells))
}

#[test]
fn categories_are_coded_against_a_sorted_dictionary() {
    let Column::Category(c) = category(&[Some("b"), None, Some("a"), Some("b")]) else { unreachable!() };
    assert_eq!(c.names, ["a", "b"]);
    assert_eq!(c.codes, [1, NO_CODE, 0, 1]);
    assert_eq!(c.get(1), None);
    assert_eq!(c.get(9), None);
}

#[test]
fn take_and_concat_keep_rows() {
    let a = category(&[Some("x"), None]);
    let b = category(&[Some("a")]);
    let both = Column::concat(&[&a, &b]).unwrap();
    assert_eq!(both, category(&[Some("x"), None, Some("a")]));
    assert_eq!(both.take(&[Some(2), None, Some(7)]), category(&[Some("a"), None, None]));
    assert!(Column::concat(&[&a, &Column::Number(vec![1.0])]).is_err());
}

#[test]
fn inconsistent_columns_are_refused() {
    let bad_code = Column::Category(Categories { names: vec!["a".into()], codes: vec![1] });
    assert_eq!(bad_code.check(Kind::Category, 1), Err(ColumnError::Dictionary));
    let unsorted = Column::Category(Categories { names: vec!["b".into(), "a".into()], codes: vec![1] });
    assert_eq!(unsorted.check(Kind::Category, 1), Err(ColumnError::Dictionary));
    let bad_offsets = Column::Tags(TagSets { names: vec!["a".into()], offsets: vec![0, 2], codes: vec![0] });
    assert_eq!(bad_offsets.check(Kind::Tags, 1), Err(ColumnError::Dictionary));
    let twice = Column::Tags(TagSets { names: vec!["a".into()], offsets: vec![0, 2], codes: vec![0, 0] });
    assert_eq!(twice.check(Kind::Tags, 1), Err(ColumnError::Dictionary));
    let infinite = Column::Vector(Vectors { width: 1, data: vec![f32::INFINITY] });
    assert_eq!(infinite.check(Kind::Vector(1), 1), Err(ColumnError::Dictionary));
    let other_nan = Column::Number(vec![f32::from_bits(0xffc0_0000)]);
    assert_eq!(other_nan.check(Kind::Number, 1), Err(ColumnError::Dictionary));
    assert_eq!(Column::Number(vec![1.0]).check(Kind::Number, 2), Err(ColumnError::Rows { got: 1, expected: 2 }));
    assert!(matches!(Column::Number(vec![]).check(Kind::Tags, 0), Err(ColumnError::Kind { .. })));
    let ragged = Column::Vector(Vectors { width: 2, data: vec![0.0; 3] });
    assert_eq!(ragged.check(Kind::Vector(2), 1), Err(ColumnError::Dictionary));
}

#[test]
fn json_of_another_kind_is_refused() {
    let text = FieldValue::String("x".into());
    let number = FieldValue::Number(1.0);
    for (kind, cell) in [
        (Kind::Number, &text),
        (Kind::Boolean, &number),
        (Kind::Category, &number),
        (Kind::Tags, &number),
        (Kind::Vector(2), &FieldValue::Numbers(vec![1.0])),
        (Kind::Timestamp, &FieldValue::Number(1e300)),
    ] {
        assert!(Column::from_json(kind, [Some(cell)].into_iter()).is_err(), "{kind}");
    }
}
