use shared_features::event::{
    Candidate, FieldValue, ImpressionEvent, InteractionEvent, ItemEvent, RequestEvent, Shown, UserEvent,
};

use super::*;

fn interaction(id: &str, ts: i64) -> Event {
    Event::Interaction(InteractionEvent {
        id: id.into(),
        ts,
        offset_min: Some(-300),
        user: "u".into(),
        item: "i".into(),
        action: "play".into(),
        surface: Some("podcasts".into()),
        request: Some("r".into()),
        dwell_ms: Some(0.1),
        completion: Some(1.0 / 3.0),
    })
}

fn one_of_each() -> Vec<Event> {
    let attributes = shared_features::event::Attributes::from([
        ("boolean".to_owned(), Some(FieldValue::Boolean(true))),
        ("missing".to_owned(), None),
        ("number".to_owned(), Some(FieldValue::Number(0.1 + 0.2))),
        ("numbers".to_owned(), Some(FieldValue::Numbers(vec![1.5, -0.0]))),
        ("string".to_owned(), Some(FieldValue::String("\"é\"\n".into()))),
        ("strings".to_owned(), Some(FieldValue::Strings(vec!["a".into(), String::new()]))),
    ]);
    let mut bare = interaction("b", 5);
    if let Event::Interaction(e) = &mut bare {
        (e.offset_min, e.surface, e.request, e.dwell_ms, e.completion) = (None, None, None, None, None);
    }
    vec![
        Event::Item(ItemEvent { id: "i".into(), ts: -7, attributes: attributes.clone() }),
        Event::User(UserEvent { id: "u".into(), ts: 2, attributes: attributes.clone() }),
        Event::Request(RequestEvent {
            id: "r".into(),
            ts: 3,
            offset_min: 60,
            user: "u".into(),
            surface: "podcasts".into(),
            attributes: attributes.clone(),
            context: attributes.clone(),
            candidates: vec![Candidate { item: "i".into(), fields: attributes }],
            exclude: vec!["x".into()],
        }),
        Event::Impression(ImpressionEvent {
            id: "s".into(),
            ts: 4,
            request: "r".into(),
            shown: vec![
                Shown { item: "i".into(), position: 0, propensity: Some(0.25) },
                Shown { item: "j".into(), position: 1, propensity: None },
            ],
        }),
        interaction("a", 5),
        bare,
        interaction("a before", 5),
    ]
}

fn write(folder: &Path, events: &[Event]) -> Result<Summary, DataError> {
    let mut writer = Writer::create(folder)?;
    events.iter().try_for_each(|e| writer.push(e.clone()))?;
    writer.finish(serde_json::json!({ "from": "a test" }))
}

#[test]
fn what_is_written_is_read_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let summary = write(&path, &one_of_each()).unwrap();
    let data = Data::open(&path).unwrap();
    assert_eq!(data.events, one_of_each());
    assert_eq!(data.digest, summary.digest);
    assert_eq!(Summary::read(&path).unwrap(), summary);
    assert_eq!((summary.first_ts, summary.last_ts), (Some(3), Some(5)));
    assert_eq!(summary.counts.interactions, 3);
    assert!(data.relevance.is_empty() && !path.join(RELEVANCE).exists());
    let copy = folder.path().join("log");
    data.copy_to(&copy, Shard::WHOLE).unwrap();
    assert_eq!(Data::open(&copy).unwrap().events, data.events);
}

#[test]
fn empty_and_many_events_are_written() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[]).unwrap();
    assert!(Data::open(folder.path()).unwrap().events.is_empty());
    let many: Vec<Event> = (0..ROWS_PER_BATCH as i64 + 10).map(|i| interaction(&format!("{i}"), i / 3)).collect();
    write(folder.path(), &many).unwrap();
    assert_eq!(Data::open(folder.path()).unwrap().events, many);
}

#[test]
fn relevance_is_kept_and_goes_with_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path()).unwrap();
    let relevance = Relevance { request: "r".into(), item: "i".into(), relevance: 0.1 };
    writer.push_relevance(relevance.clone()).unwrap();
    writer.finish(serde_json::Value::Null).unwrap();
    assert_eq!(Data::open(folder.path()).unwrap().relevance, [relevance]);
    write(folder.path(), &[]).unwrap();
    assert!(!folder.path().join(RELEVANCE).exists());
}

#[test]
fn the_same_events_have_the_same_digest() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(write(a.path(), &one_of_each()).unwrap().digest, write(b.path(), &one_of_each()).unwrap().digest);
}

#[test]
fn events_out_of_order_are_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let error = write(&path, &[interaction("a", 2), interaction("b", 1)]).unwrap_err();
    assert!(matches!(error, DataError::Order { got: 1, after: 2 }));
    assert!(!path.exists());
}

#[test]
fn an_abandoned_writer_leaves_the_old_data() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &one_of_each()).unwrap();
    drop(Writer::create(folder.path()).unwrap());
    assert_eq!(Data::open(folder.path()).unwrap().events, one_of_each());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_folder_of_something_else_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(Writer::create(folder.path()), Err(DataError::Occupied { .. })));
    fs::write(folder.path().join(DESCRIPTION), "{}").unwrap();
    assert!(matches!(Writer::create(folder.path()), Err(DataError::Occupied { .. })));
}

#[test]
fn missing_altered_and_other_formats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Data::open(folder.path()), Err(DataError::Io { .. })));
    write(folder.path(), &one_of_each()).unwrap();
    let events = folder.path().join(EVENTS);
    let bytes = fs::read(&events).unwrap();
    fs::write(&events, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(Data::open(folder.path()), Err(DataError::Digest { .. })));
    let description = folder.path().join(DESCRIPTION);
    for text in ["", "{}", r#"{"format": 2}"#, r#"{"format": 1}"#] {
        fs::write(&description, text).unwrap();
        assert!(matches!(Data::open(folder.path()), Err(DataError::Format { .. })), "{text}");
    }
}

#[test]
fn columns_of_other_types_are_refused() {
    let batch = columns::encode(&one_of_each());
    for (index, field) in batch.schema().fields().iter().enumerate() {
        let mut without = batch.clone();
        without.remove_column(index);
        let reason = columns::decode(&without).err().unwrap();
        assert!(reason.contains(&format!("`{}`", field.name())), "{reason}");
    }
    assert!(columns::decode_relevance(&batch, &mut Vec::new()).is_err());
}
