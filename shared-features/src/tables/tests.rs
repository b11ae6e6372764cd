//! Reading a snapshot, and every rejection by name.

use super::*;
use crate::column::{Categories, Kind};
use crate::numeric::MISSING;
use crate::schema::{Entity, Field};

fn schema() -> Schema {
    Schema { item: vec![Field { name: "genre".into(), kind: Kind::Category }], ..Schema::default() }
}

fn definitions() -> Vec<StatisticDef> {
    let country = FieldRef { entity: Entity::User, name: "country".into() };
    vec![StatisticDef { name: "plays".into(), by: None }, StatisticDef { name: "local".into(), by: Some(country) }]
}

fn tables() -> Tables {
    Tables {
        as_of: 5,
        valid_from: 6,
        items: vec!["a".into(), "b".into()],
        attributes: vec![Column::Category(Categories::collect(&[Some("news"), None]))],
        statistics: vec![
            StatisticValues { segments: vec![String::new()], data: vec![1.0, MISSING] },
            StatisticValues { segments: vec!["de".into(), "gb".into()], data: vec![1.0, 2.0, 3.0, 4.0] },
        ],
    }
}

#[test]
fn rows_and_segments_are_found() {
    let read = Tables::from_bytes(&tables().to_bytes(), &schema(), &definitions()).unwrap();
    assert_eq!(read.to_bytes(), tables().to_bytes());
    assert_eq!((read.row("b"), read.row("c")), (Some(1), None));
    assert_eq!(read.statistic(1, "gb"), Some(&[3.0, 4.0][..]));
    assert_eq!((read.statistic(1, "fr"), read.statistic(2, "")), (None, None));
}

#[test]
fn no_items_is_a_snapshot_too() {
    let empty = Tables::empty(&schema(), &definitions()[..1]);
    let read = Tables::from_bytes(&empty.to_bytes(), &schema(), &definitions()[..1]).unwrap();
    assert_eq!((read.row("a"), read.statistic(0, "")), (None, Some(&[][..])));
    // A statistic by segment has no segments yet; the one empty name is as good.
    let by = Tables::empty(&schema(), &definitions());
    assert!(Tables::from_bytes(&by.to_bytes(), &schema(), &definitions()).is_ok());
}

#[test]
fn snapshots_that_do_not_fit_are_refused_by_name() {
    type Change = fn(&mut Tables);
    let changes: [(Change, &str); 10] = [
        (|t| t.items.swap(0, 1), "items are not sorted"),
        (|t| t.items[1] = "a".into(), "items are not sorted"),
        (|t| t.attributes.clear(), "0 item fields, expected 1"),
        (|t| t.attributes[0] = Column::Number(vec![1.0, 2.0]), "item field `genre`: a number column"),
        (|t| t.items.push("c".into()), "item field `genre`: 2 rows, expected 3"),
        (|t| t.statistics.truncate(1), "1 statistics, expected 2"),
        (|t| t.statistics[0].segments[0] = "x".into(), "statistic `plays` has inconsistent sizes"),
        (|t| t.statistics[1].segments.swap(0, 1), "statistic `local` has inconsistent sizes"),
        (|t| t.statistics[1].data.truncate(3), "statistic `local` has inconsistent sizes"),
        (|t| t.statistics[0].data[1] = f32::from_bits(0xffc0_0000), "another NaN"),
    ];
    for (change, says) in changes {
        let mut tables = tables();
        change(&mut tables);
        let error = Tables::from_bytes(&tables.to_bytes(), &schema(), &definitions()).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
}

#[test]
fn too_large_and_malformed_snapshots_are_refused() {
    let large = vec![1u8; MAX_BYTES + 1];
    let read = |bytes: &[u8]| Tables::from_bytes(bytes, &schema(), &definitions());
    assert_eq!(read(&large), Err(TablesError::TooLarge { got: MAX_BYTES + 1 }));
    assert!(matches!(read(&[1, 2, 3]), Err(TablesError::Codec(_))));
}
