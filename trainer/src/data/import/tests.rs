use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use shared_features::event::FieldValue;
use shared_features::spec::Section;

use super::*;
use crate::data::store::Data;

const SPEC: &str = r#"
surface = "movies"
fallback = "b"
label.grades = { click = 1 }

[schema.user]
age = "number"
[schema.item]
genres = "tags"
released = "timestamp"
votes = "number"
good = "boolean"
place = "vector(2)"
title = "text"
[schema.context]
device = "category"
[schema.candidate]
score = "number"

[[features]]
name = "votes"
source = "field"
field = "item.votes"
[[baselines]]
name = "b"
score = "votes"
"#;

/// Inputs by name, and what they give.
struct Case {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
    settings: Settings,
    spec: FeatureSpec,
    max_bad: u64,
}

impl Case {
    fn new(settings: &str, files: &[(&str, &str)]) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let write = |(name, text): &(&str, &str)| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = files.iter().map(write).collect();
        let spec = FeatureSpec::parse(SPEC).unwrap();
        Case { folder, files, settings: toml::from_str(settings).unwrap(), spec, max_bad: 0 }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, format: Format) -> Result<Summary, ImportError> {
        import(format, &self.files, (&self.spec, &self.settings), &self.out(), self.max_bad, &|_, _| {})
    }

    fn events(&self, format: Format) -> Vec<Event> {
        self.run(format).unwrap();
        Data::open(&self.out()).unwrap().events
    }

    /// The reason why nothing is imported; nothing may be left behind.
    fn refusal(&self, format: Format) -> String {
        let error = self.run(format).unwrap_err().to_string();
        assert!(!self.out().exists(), "{error}");
        error
    }
}

fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

fn interaction(id: &str, ts: i64) -> String {
    format!(r#"{{"event":"interaction","id":"{id}","ts":{ts},"user":"u","item":"i","action":"click"}}"#)
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(id).collect()
}

fn id(event: &Event) -> &str {
    match event {
        Event::Item(e) => &e.id,
        Event::User(e) => &e.id,
        Event::Request(e) => &e.id,
        Event::Impression(e) => &e.id,
        Event::Interaction(e) => &e.id,
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap()
}

#[test]
fn inputs_are_merged_in_time_order_and_ties_keep_file_and_line_order() {
    let first = [interaction("a", 5), interaction("b", 3), interaction("c", 3)].join("\n");
    let second = [interaction("d", 3), interaction("e", 9), interaction("f", 1)].join("\r\n\r\n");
    let case = Case::new("", &[("x.jsonl", &first), ("a.jsonl", &second)]);
    assert_eq!(ids(&case.events(Format::Events)), ["f", "b", "c", "d", "a", "e"]);
}

#[test]
fn gzip_is_known_by_its_bytes_and_may_have_members() {
    let case = Case::new("", &[("plain.gz", &interaction("a", 1)), ("b", "")]);
    let members = [gzip(&(interaction("b", 2) + "\n")), gzip(&interaction("c", 3))].concat();
    fs::write(&case.files[1], &members).unwrap();
    assert_eq!(ids(&case.events(Format::Events)), ["a", "b", "c"]);
    fs::write(&case.files[1], &members[..members.len() - 9]).unwrap();
    let out = case.folder.path().join("other");
    let cut = import(Format::Events, &case.files, (&case.spec, &case.settings), &out, 9, &|_, _| {});
    assert!(matches!(cut, Err(ImportError::Io { .. })), "{cut:?}");
}

#[test]
fn the_first_event_of_an_id_stays_for_each_kind() {
    let request = r#"{"event":"request","id":"a","ts":1,"user":"u","surface":"movies"}"#;
    let impression = r#"{"event":"impression","id":"a","ts":1,"request":"a","shown":[]}"#;
    let item = r#"{"event":"item","id":"a","ts":1}"#;
    let user = r#"{"event":"user","id":"a","ts":1}"#;
    let twice = [request, impression, item, user, &interaction("a", 9), &interaction("a", 2)].join("\n");
    let case = Case::new("", &[("1", &twice), ("2", &twice)]);
    let summary = case.run(Format::Events).unwrap();
    assert_eq!((summary.duplicates, summary.data.counts.items, summary.data.counts.users), (5, 2, 2));
    let events = Data::open(&case.out()).unwrap().events;
    assert_eq!(events.last().unwrap().ts(), 2, "the earliest of them");
}

#[test]
fn every_malformed_line_is_named_and_counted() {
    let with = |from: &str, to: &str| interaction("x", 1).replace(from, to);
    let user = |attributes: &str| format!(r#"{{"event":"user","id":"u","ts":1,"attributes":{attributes}}}"#);
    let request = |parts: &str| format!(r#"{{"event":"request","id":"r","ts":1,"user":"u","surface":"s",{parts}}}"#);
    for (line, reason) in [
        ("{".into(), "EOF while parsing"),
        ("[]".into(), "missing field `event`"),
        (with(r#""ts":1"#, r#""ts":"1""#), "invalid type: string"),
        (with(r#""ts":1"#, r#""ts":1.5"#), "invalid type: floating point"),
        (with(r#""ts":1,"#, ""), "missing field `ts`"),
        (with(r#""item":"i""#, r#""item":"""#), "`item` has 0 bytes"),
        (with(r#""user":"u""#, r#""user":"u","completion":2"#), "`completion` is 2"),
        (with(r#""user":"u""#, r#""user":"u","offset_min":-841"#), "`offset_min` is -841"),
        (with(r#""user":"u""#, r#""user":"u","colour":1"#), "unknown field `colour`"),
        (with("interaction", "party"), "unknown variant `party`"),
        (user(r#"{"size":1}"#), "unknown user field `size`; the schema declares: age"),
        (user(r#"{"age":"old"}"#), "user field `age`: got the string \"old\", expected a number"),
        (request(r#""context":{"device":1}"#), "context field `device`"),
        (request(r#""candidates":[{"item":"i","fields":{"score":"x"}}]"#), "candidate field `score`"),
        (request(r#""candidates":[{"item":"i"},{"item":"i"}]"#), "`candidates` has item `i` twice"),
    ] {
        let mut case = Case::new("", &[("log.jsonl", &format!("\n{}\n{line}\n", interaction("ok", 1)))]);
        let refusal = case.refusal(Format::Events);
        let lines: Vec<&str> = refusal.lines().collect();
        assert_eq!(lines[0], "1 malformed lines, --max-bad tolerates 0; nothing was written");
        assert!(lines[1].starts_with("log.jsonl:3: ") && lines[1].contains(reason), "{refusal}");
        case.max_bad = 1;
        let summary = case.run(Format::Events).unwrap();
        assert_eq!((summary.bad, summary.lines, summary.problems.len()), (1, 2, 1));
        assert_eq!(summary.data.counts.interactions, 1);
    }
}

#[test]
fn only_the_first_problems_are_shown() {
    let mut case = Case::new("", &[("log", &"x\n".repeat(30))]);
    assert_eq!(case.refusal(Format::Events).lines().count(), 1 + SHOWN_PROBLEMS);
    case.max_bad = 29;
    assert!(case.refusal(Format::Events).starts_with("30 malformed"));
    case.max_bad = 30;
    assert_eq!(case.run(Format::Events).unwrap().bad, 30);
}

#[test]
fn lines_that_are_too_long_or_not_utf8_are_refused() {
    let mut case = Case::new("", &[("log", "")]);
    let long = "x".repeat(lines::MAX_LINE_BYTES + 1);
    let text = [long.as_bytes(), b"\n\"\xff\"\n", interaction("a", 1).as_bytes()].concat();
    fs::write(&case.files[0], text).unwrap();
    let refusal = case.refusal(Format::Events);
    assert!(refusal.contains("log:1: the line has more than 8388608 bytes"), "{refusal}");
    assert!(refusal.contains("log:2: not UTF-8 at byte 2"), "{refusal}");
    case.max_bad = 2;
    assert_eq!(case.run(Format::Events).unwrap().data.counts.interactions, 1);
}

#[test]
fn parquet_events_are_read_as_json_lines_are() {
    let lines = [interaction("a", 1), r#"{"event":"user","id":"u","ts":1,"attributes":{"age":3.5}}"#.into()].join("\n");
    let case = Case::new("", &[("log", &lines)]);
    let events = case.events(Format::Events);
    let parquet = case.folder.path().join("again.parquet");
    fs::copy(case.out().join(store::EVENTS), &parquet).unwrap();
    let again = Case { files: vec![parquet], ..Case::new("", &[]) };
    assert_eq!(again.events(Format::Events), events);
    let other = FeatureSpec::parse(&SPEC.replace("age = \"number\"", "")).unwrap();
    let refusal = Case { spec: other, files: again.files.clone(), ..Case::new("", &[]) }.refusal(Format::Events);
    assert!(refusal.contains("again.parquet:2: unknown user field `age`"), "{refusal}");
    fs::write(&again.files[0], "PAR1 but nothing else").unwrap();
    let refusal = Case { files: again.files.clone(), ..Case::new("", &[]) }.refusal(Format::Events);
    assert!(refusal.contains("again.parquet"), "{refusal}");
}

#[test]
fn absent_files_and_folders_are_refused() {
    let case = Case::new("", &[]);
    for path in [case.folder.path().join("absent"), case.folder.path().to_owned()] {
        let case = Case { files: vec![path], ..Case::new("", &[]) };
        for format in [Format::Events, Format::Metarank, Format::Csv] {
            case.refusal(format);
        }
    }
}

#[test]
fn metarank_events_are_converted() {
    let lines = [
        r#"{"event":"item","id":"e1","item":"m","timestamp":"7","fields":[{"name":"genres","value":["a","b"]},
            {"name":"released","value":2.5},{"name":"colour","value":"red"},{"name":"votes","value":null}]}"#,
        r#"{"event":"user","id":"e2","user":"u","timestamp":7,"fields":[{"name":"age","value":30}]}"#,
        r#"{"event":"ranking","id":"r","timestamp":"8","user":"u","session":"s","items":[
            {"id":"m","relevancy":1,"fields":[{"name":"score","value":0.5},{"name":"relevancy","value":0.0}]},{"id":"n"}],
            "fields":[{"name":"device","value":"phone"},{"name":"query","value":"x"}]}"#,
        r#"{"event":"interaction","id":"c","timestamp":"9","ranking":"r","session":"s","item":"m","type":"click",
            "fields":[],"tenant":"t"}"#,
    ];
    let lines = lines.map(|line| line.replace('\n', "")).join("\n");
    let case = Case::new("metarank.seconds = [\"released\"]", &[("log", &lines)]);
    let summary = case.run(Format::Metarank).unwrap();
    let ignored: Vec<(&str, u64)> = summary.ignored_fields.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(ignored, [("candidate.relevancy", 1), ("context.query", 1), ("item.colour", 1)]);
    let events: Vec<String> = Data::open(&case.out()).unwrap().events.iter().map(json).collect();
    assert_eq!(
        events,
        [
            r#"{"event":"item","id":"m","ts":7,"attributes":{"genres":["a","b"],"released":2500.0,"votes":null}}"#,
            r#"{"event":"user","id":"u","ts":7,"attributes":{"age":30.0}}"#,
            concat!(
                r#"{"event":"request","id":"r","ts":8,"offset_min":0,"user":"u","surface":"movies","attributes":{},"#,
                r#""context":{"device":"phone"},"candidates":[{"item":"m","fields":{"score":0.5}},{"item":"n"}],"#,
                r#""exclude":[]}"#
            ),
            concat!(
                r#"{"event":"interaction","id":"c","ts":9,"user":"s","item":"m","action":"click","#,
                r#""surface":"movies","request":"r"}"#
            ),
        ]
    );
}

#[test]
fn malformed_metarank_events_are_named() {
    for (line, reason) in [
        (r#"{"event":"click"}"#, "unknown variant `click`"),
        (r#"{"event":"item","item":"m","timestamp":"soon"}"#, "`timestamp` is \"soon\""),
        (r#"{"event":"item","item":"m","timestamp":1.5}"#, "did not match"),
        (r#"{"event":"item","timestamp":1}"#, "missing field `item`"),
        (r#"{"event":"ranking","id":"r","timestamp":1,"items":[]}"#, "neither `user` nor `session`"),
        (r#"{"event":"interaction","id":"c","timestamp":1,"item":"m","type":"x"}"#, "neither `user` nor `session`"),
        (r#"{"event":"ranking","id":"r","timestamp":1,"user":"u","items":[{"id":"a"},{"id":"a"}]}"#, "twice"),
        (r#"{"event":"item","item":"m","timestamp":1,"fields":[{"name":"votes","value":"x"}]}"#, "item field `votes`"),
        (r#"{"event":"item","item":"m","timestamp":1,"fields":[{"name":"votes","value":{}}]}"#, "did not match"),
    ] {
        let refusal = Case::new("", &[("log", line)]).refusal(Format::Metarank);
        assert!(refusal.contains("log:1: ") && refusal.contains(reason), "{refusal}");
    }
    let refusal = Case::new("metarank.seconds = [\"votes\"]", &[]).refusal(Format::Metarank);
    assert!(refusal.contains("does not declare as a timestamp"), "{refusal}");
}

const PLAYS: &str = r#"
[[csv]]
file = "plays.csv"
event = "interaction"
[csv.columns]
user = "who"
item = "what"
ts = { column = "when", unit = "minutes", origin = 2012-04-03T14:00:00-04:00 }
offset_min = { value = -240 }
action = { column = "stars", map = { 5 = "like", 1 = "skip" } }
completion = "share"
"#;

#[test]
fn columns_are_mapped_to_interactions() {
    let text = "what,who,when,stars,share\ni,u,1,5,\n\"a \"\"b\"\"\",u,0.5,1,.25\n";
    let case = Case::new(PLAYS, &[("plays.csv", text)]);
    let events: Vec<String> = case.events(Format::Csv).iter().map(json).collect();
    assert_eq!(
        events,
        [
            concat!(
                r#"{"event":"interaction","id":"plays.csv:3","ts":1333476030000,"offset_min":-240,"#,
                r#""user":"u","item":"a \"b\"","action":"skip","completion":0.25}"#
            ),
            concat!(
                r#"{"event":"interaction","id":"plays.csv:2","ts":1333476060000,"offset_min":-240,"#,
                r#""user":"u","item":"i","action":"like"}"#
            ),
        ]
    );
    let compressed = Case::new(PLAYS, &[("plays.csv.gz", "")]);
    fs::write(&compressed.files[0], gzip(text)).unwrap();
    assert_eq!(compressed.events(Format::Csv).len(), 2);
}

#[test]
fn columns_are_mapped_to_attributes_by_their_kind() {
    let settings = r#"
        [[csv]]
        file = "items.tsv"
        event = "item"
        delimiter = "\t"
        columns = { item = "id:token" }
        [csv.attributes]
        genres = { column = "genres", split = " " }
        released = { column = "day", unit = "days" }
        votes = { column = "votes", missing = ["-", "?"] }
        good = "good"
        place = { column = "place", split = ";" }
        title = "title"
    "#;
    let text = "\u{feff}id:token\tgenres\tday\tvotes\tgood\tplace\ttitle\n\
                1\ta  b\t2\t1e3\ttrue\t1;-2\tSay \"hi\n2\t\t1970-01-02\t?\t0\t\t\n";
    let case = Case::new(settings, &[("items.tsv", text)]);
    let events: Vec<String> = case.events(Format::Csv).iter().map(json).collect();
    assert_eq!(
        events,
        [
            concat!(
                r#"{"event":"item","id":"1","ts":0,"attributes":{"genres":["a","b"],"good":true,"place":[1.0,-2.0],"#,
                r#""released":172800000.0,"title":"Say \"hi","votes":1000.0}}"#
            ),
            r#"{"event":"item","id":"2","ts":0,"attributes":{"good":false,"released":86400000.0}}"#,
        ]
    );
    for (from, to, reason) in [
        ("1e3", "many", "`votes`: \"many\" is no number"),
        ("1e3", "NaN", "`votes`: \"NaN\" is no number"),
        ("true", "maybe", "`good`: \"maybe\" is no boolean"),
        ("\t2\t", "\tsoon\t", "`released`: \"soon\" is no time"),
        ("1;-2", "1;2;3", "item field `place`: got 3 numbers"),
    ] {
        let refusal = Case::new(settings, &[("items.tsv", &text.replacen(from, to, 1))]).refusal(Format::Csv);
        assert!(refusal.contains("items.tsv:2: ") && refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn malformed_rows_are_named() {
    for (row, reason) in [
        ("i,u,1,5", "4 columns, the header has 5"),
        ("i,u,1,5,1,x", "6 columns, the header has 5"),
        ("i,u,,5,1", "`ts` is empty"),
        ("i,u,soon,5,1", "\"soon\" is no time"),
        ("i,u,9223372036854775807,5,1", "out of range"),
        (",u,1,5,1", "`item` is empty"),
        ("i,u,1,3,1", "column `stars` is \"3\", which its `map` does not name"),
        ("i,u,1,5,1.5", "`completion` is 1.5"),
        ("i,u,1,5,half", "\"half\" is no number"),
    ] {
        let text = format!("what,who,when,stars,share\n{row}\n");
        let mut case = Case::new(PLAYS, &[("plays.csv", &text)]);
        let refusal = case.refusal(Format::Csv);
        assert!(refusal.contains("plays.csv:2: ") && refusal.contains(reason), "{refusal}");
        case.max_bad = 1;
        assert_eq!(case.run(Format::Csv).unwrap().data.counts.interactions, 0);
    }
}

#[test]
fn mappings_that_do_not_fit_are_refused() {
    let header = "what,who,when,stars,share\n";
    for (from, to, reason) in [
        ("plays.csv", "other.csv", "no [[import.csv]] names `plays.csv`, the spec maps other.csv"),
        ("user = \"who\"", "user = \"nobody\"", "there is no column `nobody` for `user`; the header has: what, who"),
        ("user = \"who\"", "", "interactions need `user`"),
        ("event = \"interaction\"", "event = \"user\"", "users have no `item`"),
        ("{ value = -240 }", "{ value = -240, column = \"who\" }", "`offset_min` needs one of `column` and `value`"),
        ("2012-04-03T14:00:00-04:00", "14:00:00", "has no date"),
        ("event = \"interaction\"", "event = \"interaction\"\ndelimiter = \"é\"", "not an ASCII character"),
        (
            "event = \"interaction\"",
            "event = \"interaction\"\nattributes = { a = \"who\" }",
            "attribute `a` is not declared",
        ),
    ] {
        let refusal = Case::new(&PLAYS.replace(from, to), &[("plays.csv", header)]).refusal(Format::Csv);
        assert!(refusal.contains(reason), "{refusal}");
    }
    let case = Case::new(PLAYS, &[("plays.csv", header)]);
    let twice = Case { files: [case.files.clone(), case.files.clone()].concat(), ..Case::new(PLAYS, &[]) };
    assert!(twice.refusal(Format::Csv).contains("two files are named `plays.csv`"));
    for text in
        ["csv = [{ file = \"x\" }]", "colour = 1", "requests = { when = \"never\" }", "requests = { when = \"first\" }"]
    {
        assert!(toml::from_str::<Settings>(text).is_err(), "{text}");
    }
    for bad in ["{ colum = \"when\" }", "7", "{ column = \"when\", unit = \"years\" }"] {
        let text = PLAYS.replace("completion = \"share\"", &format!("completion = {bad}"));
        assert!(toml::from_str::<Settings>(&text).is_err(), "{bad}");
    }
}

#[test]
fn a_row_that_is_too_long_stops_the_import() {
    let text = format!("what,who,when,stars,share\ni,u,1,5,1\n{}", "x".repeat(lines::MAX_LINE_BYTES + 1));
    let refusal = Case::new(PLAYS, &[("plays.csv", &text)]).refusal(Format::Csv);
    assert!(refusal.contains("plays.csv: a line has more than 8388608 bytes"), "{refusal}");
}

fn requests_of(settings: &str, plays: &[(&str, &str, i64)]) -> Vec<String> {
    let line = |(n, (user, item, ts)): (usize, &(&str, &str, i64))| {
        interaction(&n.to_string(), *ts)
            .replace(r#""user":"u""#, &format!(r#""user":"{user}""#))
            .replace(r#""item":"i""#, &format!(r#""item":"{item}""#))
    };
    let lines: Vec<String> = plays.iter().enumerate().map(line).collect();
    let events = Case::new(settings, &[("log", &lines.join("\n"))]).events(Format::Events);
    let show = |event: &Event| match event {
        Event::Request(e) => format!("? {}", e.id),
        Event::Interaction(e) => format!("{} {}", e.id, e.request.as_deref().unwrap_or("-")),
        other => json(other),
    };
    events.iter().map(show).collect()
}

#[test]
fn a_request_is_derived_for_each_repeat() {
    let plays =
        [("u", "a", 1), ("u", "a", 1), ("v", "a", 2), ("u", "b", 2), ("u", "a", 3), ("u", "b", 3), ("u", "a", 4)];
    let derived = requests_of("requests = { when = \"repeat\" }", &plays);
    // At the same time as the first one nothing is a repeat yet: a request sees only what was before it.
    assert_eq!(derived, ["0 -", "1 -", "2 -", "3 -", "? 4", "4 4", "? 5", "5 5", "? 6", "6 6"]);
}

#[test]
fn a_request_is_derived_for_each_new_user() {
    let plays = [("u", "a", 1), ("v", "a", 2), ("u", "b", 2), ("u", "c", 3)];
    let derived = requests_of("requests = { when = \"first\", interactions = 2 }", &plays);
    assert_eq!(derived, ["? 0", "0 0", "? 1", "1 1", "2 0", "3 -"]);
}

/// The parts of a shipped example that an import reads.
fn example(name: &str) -> (FeatureSpec, Settings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name);
    let text = fs::read_to_string(path).unwrap();
    let mut root = Section::parse(&text).unwrap();
    let spec = FeatureSpec::read(&mut root).unwrap_or_else(|e| panic!("{name}: {e}"));
    (spec, root.take("import").unwrap().unwrap())
}

#[test]
fn the_examples_are_read() {
    assert_eq!(example("ranklens.toml").0.unfitted.features.len(), 29);
    assert_eq!(example("checkins.toml").1.csv.len(), 2);
    assert_eq!(example("newusers.toml").1.csv.len(), 3);
}

fn real(name: &str, format: Format, files: &[&str]) -> Option<(FeatureSpec, Summary, Data)> {
    let Some(root) = std::env::var_os("HEARTH_DATA") else {
        eprintln!("skipped: HEARTH_DATA is not set");
        return None;
    };
    let files: Vec<PathBuf> = files.iter().map(|f| Path::new(&root).join(f)).collect();
    let out = tempfile::tempdir().unwrap();
    let (spec, settings) = example(name);
    let summary = import(format, &files, (&spec, &settings), out.path(), 0, &|_, _| {}).unwrap();
    let data = Data::open(out.path()).unwrap();
    Some((spec, summary, data))
}

#[test]
fn ranklens_is_imported() {
    let file = "ranklens/events_dev.jsonl.gz";
    let Some((spec, summary, data)) = real("ranklens.toml", Format::Metarank, &[file]) else { return };
    let counts = summary.data.counts;
    assert_eq!((counts.requests, counts.interactions, counts.items), (7_875, 36_519, 2_512));
    assert!(
        summary
            .ignored_fields
            .keys()
            .all(|f| ["item.title", "item.description", "candidate.relevancy"].contains(&f.as_str()))
    );
    let released = data.events.iter().find_map(|event| match event {
        Event::Item(e) if e.id == "3" => e.attributes["release_date"].clone(),
        _ => None,
    });
    assert_eq!(released, Some(FieldValue::Number(819_590_400_000.0)));
    let snapshots = crate::data::tables::Snapshots::new(&spec, &data.events).unwrap();
    let (first, last) = (summary.data.first_ts.unwrap(), summary.data.last_ts.unwrap());
    let times: Vec<i64> = snapshots.schedule(first, last).collect();
    let start = std::time::Instant::now();
    let tables: Vec<_> = snapshots.iter(&times).collect();
    eprintln!("{} snapshots in {:?}", tables.len(), start.elapsed());
    // Eight ranked movies have no item event.
    assert_eq!(tables.last().unwrap().items.len(), 2_512 + 8);
    assert_eq!(tables[70].to_bytes(), snapshots.at(times[70]).to_bytes());
}

#[test]
fn checkins_are_imported() {
    let files = ["foursquare-nyc/checkins_dev.csv", "foursquare-nyc/poi.csv"];
    let Some((_, summary, data)) = real("checkins.toml", Format::Csv, &files) else { return };
    assert_eq!(summary.data.counts.interactions, 73_803);
    let users: HashSet<&str> = data
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Interaction(e) => Some(e.user.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(users.len(), 541);
    let share = summary.data.counts.requests as f64 / 73_803.0;
    assert!((0.74..0.78).contains(&share), "{share}");
}

#[test]
fn ratings_are_imported() {
    let files = ["ml-100k/ml-100k.inter", "ml-100k/ml-100k.item", "ml-100k/ml-100k.user"];
    let Some((_, summary, _)) = real("newusers.toml", Format::Csv, &files) else { return };
    let counts = summary.data.counts;
    assert_eq!((counts.interactions, counts.requests, counts.users), (100_000, 943, 943));
    eprintln!("{summary}");
}
