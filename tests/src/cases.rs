//! Generated and adversarial requests, histories and tables for the spec that uses everything.

use std::collections::BTreeMap;

use shared_features::column::{Column, Kind};
use shared_features::encoder::{Encoder, Values};
use shared_features::event::{Attributes, Candidate, FieldValue, InteractionEvent, RequestEvent};
use shared_features::history::{Entry, History, HistoryView};
use shared_features::numeric::MISSING;
use shared_features::random::Random;
use shared_features::rank::Parts;
use shared_features::request::Request;
use shared_features::schema::{Entity, Field, Schema};
use shared_features::spec::FeatureSpec;
use shared_features::tables::{StatisticValues, Tables};
use shared_features::transform::Training;

/// A spec that uses every source and every transform.
pub const EVERYTHING: &str = include_str!("everything.toml");

/// Numbers that find bugs: zeros, denormals, the ends of the ranges, values that JSON prints in odd ways.
pub const NUMBERS: [f64; 18] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-310,
    -1e-310,
    5e-324,
    1e-40,
    1e30,
    -1e39,
    1e300,
    f64::MAX,
    f64::MIN,
    16_777_217.0,
    0.3,
    2.5,
    1e21,
];
/// Times that find bugs; hours and weekdays around them wrap.
pub const TIMES: [i64; 9] =
    [0, -1, 1, 1_767_571_200_000, 1_767_571_199_999, -62_135_596_800_000, 253_402_300_799_999, i64::MAX, i64::MIN + 1];
const WORDS: [&str; 9] = ["", "a", "b", "news", "US", "\u{0}", "tag \"quoted\"", "é\u{301}🎧", "zzz"];
/// Pieces of texts that find bugs: lower case that is longer or depends on its place, combining marks, signs alone,
/// scripts without spaces, characters that are no letters and yet alphanumeric.
const PIECES: [&str; 18] = [
    "",
    "news",
    "NEWS",
    "the Daily",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "straße",
    "STRASSE",
    "E\u{301}te\u{301}",
    "ÉTÉ",
    "—…!",
    "東京の天気",
    "हिन्दी",
    "ﬁne ²³ Ⅷ ①",
    "\u{0}\t\r\n",
    "🎧\u{200d}x",
    "don't",
    "\u{1c5}\u{10400}",
];
const ACTIONS: [&str; 6] = ["play", "skip", "like", "hide", "", "unheard-of"];

/// The spec, parsed.
pub fn spec() -> FeatureSpec {
    FeatureSpec::parse(EVERYTHING).expect("the spec of the tests is valid")
}

/// The spec's encoder, fitted on generated rows.
pub fn fitted(spec: &FeatureSpec, tables: &Tables) -> Encoder {
    let mut parts = Vec::new();
    for k in 0..200 {
        let case = Case::generate(k, &spec.unfitted.schema);
        let parts_of = Parts { encoder: &spec.unfitted, policy: &spec.policy, tables };
        let (scene, _) = parts_of.scene(&case.view, &case.request);
        parts.push(spec.unfitted.extract(&scene));
    }
    let columns = (0..spec.features.len())
        .map(|k| {
            let columns: Vec<_> = parts.iter().map(|v| &v.columns[k]).collect();
            Column::concat(&columns).expect("one feature has one kind")
        })
        .collect();
    let rows = parts.iter().map(|v| v.rows).sum();
    let users: Vec<u32> = (0..rows).collect();
    let values = Values { rows, columns };
    let training = Training { users: &users, min_users: 1 };
    spec.unfitted.fit(&spec.features, &values, &training).expect("generated rows can be fitted")
}

/// Encoder, policy and tables of a surface whose vector is `width` numbers of the candidate as they are.
pub fn plain(width: u32) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let fields: String = (0..width).map(|k| format!("f{k} = \"number\"\n")).collect();
    let features: String = (0..width)
        .map(|k| format!("[[features]]\nname = \"f{k}\"\nsource = \"field\"\nfield = \"candidate.f{k}\"\n"))
        .collect();
    let spec = format!(
        "surface = \"plain\"\nfallback = \"first\"\nslate = 20\n[schema.candidate]\n{fields}\
         [label]\ngrades = {{ play = 1 }}\n{features}[[baselines]]\nname = \"first\"\nscore = \"f0\"\n"
    );
    let spec = FeatureSpec::parse(&spec).expect("the spec is valid");
    let values = Values { rows: 1, columns: vec![Column::Number(vec![0.0]); width as usize] };
    let training = Training { users: &[0], min_users: 1 };
    let encoder = spec.unfitted.fit(&spec.features, &values, &training).expect("one row is enough");
    let tables = Tables::empty(&encoder.schema, &encoder.statistics);
    (encoder.to_bytes(), spec.policy.to_bytes(), tables.to_bytes())
}

/// A snapshot of 40 items, with missing and extreme attributes.
pub fn tables(spec: &FeatureSpec) -> Tables {
    let mut random = Random::keyed("tables", "everything");
    let mut items: Vec<String> = (0..40).map(|k| format!("item-{k}")).chain(WORDS.map(str::to_owned)).collect();
    items.sort();
    items.dedup();
    let rows: Vec<Attributes> = items.iter().map(|_| attributes(&spec.unfitted.schema.item, &mut random)).collect();
    let rows: Vec<&Attributes> = rows.iter().collect();
    let attributes = spec.unfitted.schema.columns(Entity::Item, &rows).expect("generated attributes fit the schema");
    let statistics = spec
        .unfitted
        .statistics
        .iter()
        .map(|def| {
            let segments: Vec<String> = match def.by {
                None => vec![String::new()],
                Some(_) => vec!["US".into(), "a".into()],
            };
            let data = (0..segments.len() * items.len())
                .map(|_| if random.below(5) == 0 { MISSING } else { random.below(1000) as f32 })
                .collect();
            StatisticValues { segments, data }
        })
        .collect();
    Tables { as_of: 0, valid_from: 0, items, attributes, statistics }
}

/// One generated request.
#[derive(Clone, Debug)]
pub struct Case {
    /// As an app would send it.
    pub event: RequestEvent,
    /// Typed.
    pub request: Request,
    /// The user's history as the host would send it.
    pub view: HistoryView,
}

impl Case {
    /// The k-th case; the same one every time.
    pub fn generate(k: u64, schema: &Schema) -> Case {
        let mut random = Random::keyed("case", &k.to_string());
        let ts = time(&mut random);
        let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
        for _ in 0..random.below(12) {
            let item = item(&mut random);
            candidates.insert(item.clone(), Candidate { item, fields: attributes(&schema.candidate, &mut random) });
        }
        let event = RequestEvent {
            id: format!("request-{k}"),
            ts,
            offset_min: random.below(1681) as i16 - 840,
            user: "user".into(),
            surface: "everything".into(),
            attributes: attributes(&schema.user, &mut random),
            context: attributes(&schema.context, &mut random),
            candidates: candidates.into_values().collect(),
            exclude: (0..random.below(3)).map(|_| item(&mut random)).collect(),
        };
        let mut history = History::default();
        for id in 0..random.below(80) {
            let near = ts.saturating_sub(random.below(40 * 86_400_000) as i64).saturating_add(3_600_000);
            let interaction = InteractionEvent {
                id: id.to_string(),
                ts: if random.below(8) == 0 { time(&mut random) } else { near },
                offset_min: Some(random.below(1681) as i16 - 840),
                user: "user".into(),
                item: item(&mut random),
                action: ACTIONS[random.below(6) as usize].into(),
                surface: None,
                request: None,
                dwell_ms: (random.below(2) == 0).then(|| number(&mut random).abs()),
                completion: (random.below(2) == 0).then(|| random.next_f64()),
            };
            history.insert(Entry::from(&interaction));
        }
        let request = Request::new(&event, None, schema).expect("generated attributes fit the schema");
        Case { event, request, view: HistoryView::of(history.entries()) }
    }
}

fn attributes(fields: &[Field], random: &mut Random) -> Attributes {
    let mut attributes = Attributes::new();
    for field in fields {
        if random.below(6) == 0 {
            continue;
        }
        let word = |random: &mut Random| WORDS[random.below(9) as usize].to_owned();
        let value = match field.kind {
            Kind::Number => FieldValue::Number(number(random)),
            Kind::Boolean => FieldValue::Boolean(random.below(2) == 0),
            Kind::Category => FieldValue::String(word(random)),
            Kind::Text => FieldValue::String(text(random)),
            Kind::Tags => FieldValue::Strings((0..random.below(4)).map(|_| word(random)).collect()),
            Kind::Vector(width) => FieldValue::Numbers((0..width).map(|_| number(random)).collect()),
            Kind::Timestamp => FieldValue::Number((random.below(4_000_000_000_000) as f64) - 1e12),
        };
        attributes.insert(field.name.clone(), (random.below(9) != 0).then_some(value));
    }
    attributes
}

/// Up to 20 pieces in a row, with and without something between them.
fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(21) {
        text.push_str(PIECES[random.below(18) as usize]);
        text.push_str(["", " ", ", "][random.below(3) as usize]);
    }
    text
}

fn number(random: &mut Random) -> f64 {
    if random.below(3) == 0 { NUMBERS[random.below(18) as usize] } else { (random.next_f64() - 0.3) * 100.0 }
}

fn time(random: &mut Random) -> i64 {
    if random.below(4) == 0 {
        TIMES[random.below(9) as usize]
    } else {
        1_767_571_200_000 + random.below(5_000_000_000) as i64
    }
}

fn item(random: &mut Random) -> String {
    if random.below(10) == 0 {
        WORDS[random.below(9) as usize].to_owned()
    } else {
        format!("item-{}", random.below(45))
    }
}

/// A LinearRegressor over `width` numbers, as ONNX bytes.
pub fn linear_model(width: u32) -> Vec<u8> {
    let coefficients: Vec<f32> = (0..width).map(|k| (f64::from(k) * 0.37 - 5.0) as f32 * 0.01).collect();
    trainer::experiment::onnx_export::linear(&coefficients, 0.5)
}
