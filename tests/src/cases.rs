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
use shared_features::wire::Load;
use trainer::experiment::onnx_export::{self, TreeNode};

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
    let mut draw = Draw { random: Random::keyed("tables", "everything"), style: Style::Mixed };
    let mut items: Vec<String> = (0..40).map(|k| format!("item-{k}")).chain(WORDS.map(str::to_owned)).collect();
    items.sort();
    items.dedup();
    let rows: Vec<Attributes> = items.iter().map(|_| draw.attributes(&spec.unfitted.schema.item)).collect();
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
                .map(|_| if draw.random.below(5) == 0 { MISSING } else { draw.random.below(1000) as f32 })
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

/// How the values of a case are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Ordinary values and, among them, those that find bugs.
    Mixed,
    /// Numbers next to powers of two and to where `f32` rounds the other way, times next to whole hours.
    Boundary,
    /// Numbers and times of any bits, strings of any characters.
    Adversarial,
}

/// Draws values in one style.
struct Draw {
    random: Random,
    style: Style,
}

impl Case {
    /// The k-th case; the same one every time.
    pub fn generate(k: u64, schema: &Schema) -> Case {
        Case::of_size(k, schema, 11, 79)
    }

    /// Like [`Case::generate`], with one or two candidates and a history of up to 7, for where many cases count.
    pub fn brief(k: u64, schema: &Schema) -> Case {
        Case::of_size(k, schema, 2, 7)
    }

    /// A case with at most so many candidates and interactions.
    fn of_size(k: u64, schema: &Schema, candidates: u64, history: u64) -> Case {
        let style = match k % 4 {
            2 => Style::Boundary,
            3 => Style::Adversarial,
            _ => Style::Mixed,
        };
        let mut draw = Draw { random: Random::keyed("case", &k.to_string()), style };
        let ts = draw.time();
        let mut drawn: BTreeMap<String, Candidate> = BTreeMap::new();
        for _ in 0..draw.random.below(candidates + 1) {
            let item = draw.item();
            drawn.insert(item.clone(), Candidate { item, fields: draw.attributes(&schema.candidate) });
        }
        let event = RequestEvent {
            id: format!("request-{k}"),
            ts,
            offset_min: draw.offset_min(),
            user: "user".into(),
            surface: "everything".into(),
            attributes: draw.attributes(&schema.user),
            context: draw.attributes(&schema.context),
            candidates: drawn.into_values().collect(),
            exclude: (0..draw.random.below(3)).map(|_| draw.item()).collect(),
        };
        let mut entries = History::default();
        for id in 0..draw.random.below(history + 1) {
            let near = ts.saturating_sub(draw.random.below(40 * 86_400_000) as i64).saturating_add(3_600_000);
            let interaction = InteractionEvent {
                id: id.to_string(),
                ts: if draw.random.below(8) == 0 { draw.time() } else { near },
                offset_min: Some(draw.offset_min()),
                user: "user".into(),
                item: draw.item(),
                action: ACTIONS[draw.random.below(6) as usize].into(),
                surface: None,
                request: None,
                dwell_ms: draw.coin().then(|| draw.number().abs()),
                completion: draw.coin().then(|| draw.random.next_f64()),
            };
            entries.insert(Entry::from(&interaction));
        }
        let request = Request::new(&event, None, schema).expect("generated attributes fit the schema");
        Case { event, request, view: HistoryView::of(entries.entries()) }
    }

    /// The same case, its request written as JSON text and read again.
    pub fn through_text(self, schema: &Schema) -> Case {
        let text = serde_json::to_string(&self.event).expect("an event is plain data");
        let event: RequestEvent = serde_json::from_str(&text).expect("what was written is read");
        let request = Request::new(&event, None, schema).expect("generated attributes fit the schema");
        Case { event, request, ..self }
    }
}

impl Draw {
    fn attributes(&mut self, fields: &[Field]) -> Attributes {
        let mut attributes = Attributes::new();
        for field in fields {
            if self.random.below(6) == 0 {
                continue;
            }
            let value = match field.kind {
                Kind::Number => FieldValue::Number(self.number()),
                Kind::Boolean => FieldValue::Boolean(self.coin()),
                Kind::Category => FieldValue::String(self.word()),
                Kind::Text => FieldValue::String(self.text()),
                Kind::Tags => FieldValue::Strings((0..self.random.below(4)).map(|_| self.word()).collect()),
                Kind::Vector(width) => FieldValue::Numbers((0..width).map(|_| self.number()).collect()),
                Kind::Timestamp => FieldValue::Number((self.random.below(4_000_000_000_000) as f64) - 1e12),
            };
            attributes.insert(field.name.clone(), (self.random.below(9) != 0).then_some(value));
        }
        attributes
    }

    fn number(&mut self) -> f64 {
        match self.style {
            Style::Boundary => {
                let exponent = self.random.below(280);
                let sign = self.random.below(2) << 63;
                // A power of two, a number of `f32`, or the middle between two of those; exactly, or one step away.
                let mantissa = match self.random.below(3) {
                    0 => 0,
                    1 => self.random.below(1 << 23) << 29,
                    _ => self.random.below(1 << 23) << 29 | 1 << 28,
                };
                let bits = (1023 - 150 + exponent) << 52 | mantissa;
                f64::from_bits(sign | (bits + self.random.below(3) - 1))
            }
            Style::Adversarial => Some(f64::from_bits(self.random.next_u64())).filter(|x| x.is_finite()).unwrap_or(0.0),
            Style::Mixed if self.random.below(3) == 0 => NUMBERS[self.random.below(18) as usize],
            Style::Mixed => (self.random.next_f64() - 0.3) * 100.0,
        }
    }

    fn time(&mut self) -> i64 {
        match self.style {
            Style::Boundary => {
                (self.random.below(1_000_000) as i64 - 1_000) * 3_600_000 + self.random.below(3) as i64 - 1
            }
            Style::Adversarial => (self.random.next_u64() as i64 >> self.random.below(40)).max(i64::MIN + 1),
            Style::Mixed if self.random.below(4) == 0 => TIMES[self.random.below(9) as usize],
            Style::Mixed => 1_767_571_200_000 + self.random.below(5_000_000_000) as i64,
        }
    }

    fn word(&mut self) -> String {
        if self.style == Style::Adversarial && self.coin() {
            return self.characters(6);
        }
        WORDS[self.random.below(9) as usize].to_owned()
    }

    /// Up to 20 pieces in a row, with and without something between them.
    fn text(&mut self) -> String {
        if self.style == Style::Adversarial {
            return self.characters(40);
        }
        let mut text = String::new();
        for _ in 0..self.random.below(21) {
            text.push_str(PIECES[self.random.below(18) as usize]);
            text.push_str(["", " ", ", "][self.random.below(3) as usize]);
        }
        text
    }

    fn characters(&mut self, most: u64) -> String {
        let top = [0x80, 0x800, 0x11_0000][self.random.below(3) as usize];
        (0..self.random.below(most + 1)).filter_map(|_| char::from_u32(self.random.below(top) as u32)).collect()
    }

    fn item(&mut self) -> String {
        if self.random.below(10) == 0 {
            WORDS[self.random.below(9) as usize].to_owned()
        } else {
            format!("item-{}", self.random.below(45))
        }
    }

    fn offset_min(&mut self) -> i16 {
        self.random.below(1681) as i16 - 840
    }

    fn coin(&mut self) -> bool {
        self.random.below(2) == 0
    }
}

/// The parts of a bundle of every source and transform with a linear model, and its encoder.
pub fn linear() -> (Load, Encoder) {
    let spec = spec();
    let tables = tables(&spec);
    let encoder = fitted(&spec, &tables);
    let load = Load {
        encoder: encoder.to_bytes(),
        policy: spec.policy.to_bytes(),
        tables: tables.to_bytes(),
        model: linear_model(encoder.width.expect("a fitted encoder has a width")),
    };
    (load, encoder)
}

/// A LinearRegressor over `width` numbers, as ONNX bytes.
pub fn linear_model(width: u32) -> Vec<u8> {
    let coefficients: Vec<f32> = (0..width).map(|k| (f64::from(k) * 0.37 - 5.0) as f32 * 0.01).collect();
    onnx_export::linear(&coefficients, 0.5)
}

/// A TreeEnsembleRegressor of random trees over `width` numbers, as ONNX bytes.
///
/// Thresholds are numbers of `rows`, `f32[_, width]`, so that rows fall on both sides and on them.
pub fn tree_model(width: u32, trees: u64, leaves: usize, rows: &[f32]) -> Vec<u8> {
    let mut random = Random::keyed("trees", &leaves.to_string());
    let width = width as usize;
    let mut grow = || {
        let mut nodes = vec![TreeNode::leaf(0.0)];
        let mut open = vec![0];
        while open.len() < leaves {
            let at = open.swap_remove(random.below(open.len() as u64) as usize);
            let feature = random.below(width as u64) as usize;
            let row = random.below((rows.len() / width) as u64) as usize;
            let threshold = Some(rows[row * width + feature]).filter(|x| !x.is_nan()).unwrap_or(0.5);
            let next = nodes.len() as u32;
            nodes[at] = TreeNode::branch(feature as u32, threshold, random.below(2) == 0, (next, next + 1));
            open.extend([nodes.len(), nodes.len() + 1]);
            nodes.extend([(); 2].map(|()| TreeNode::leaf((random.next_f64() - 0.5) as f32)));
        }
        nodes
    };
    let trees: Vec<Vec<TreeNode>> = (0..trees).map(|_| grow()).collect();
    onnx_export::trees(width, &trees, 0.25)
}
