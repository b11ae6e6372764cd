//! An edge in a page: verifies a channel and its bundles, keeps histories in IndexedDB, and ranks.
//!
//! Everything that decides an answer is the server's code; here is only what a page does differently.
//! Requests and events are the API's JSON, answers too.

use std::collections::BTreeMap;

use js_sys::{Error, Uint8Array};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::event::{Candidate, ImpressionEvent, InteractionEvent, RequestEvent};
use shared_features::history::{Entry as Interaction, History};
use shared_features::schema::Field;
use wasm_bindgen::prelude::*;

use crate::answer::{Answer, Answered};
use crate::entry::Entry;
use crate::explain::ExplainAnswer;
use crate::host::{Host, Limits};
use crate::keys::{Role, Root};
use crate::registry::Registry;
use crate::serving::{Arm, LoadError, Serving};

/// Candidates of a made-up request.
const SHOWN: usize = 8;

#[wasm_bindgen(module = "/src/browser/browser.js")]
extern "C" {
    /// An open database.
    #[derive(Clone, Debug)]
    type Database;

    #[wasm_bindgen(catch, js_name = openDatabase)]
    async fn open_database(name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn read(database: &Database, store: &str, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn update(
        database: &Database,
        store: &str,
        key: &str,
        change: &Closure<dyn FnMut(JsValue) -> JsValue>,
        logged: JsValue,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = randomId)]
    fn random_id() -> String;
    #[wasm_bindgen(catch)]
    async fn append(database: &Database, logged: JsValue) -> Result<JsValue, JsValue>;
}

/// An edge for one surface.
#[wasm_bindgen]
#[derive(Debug)]
pub struct HearthEdge {
    database: Database,
    installation: String,
    serving: Serving,
    /// Of the first arm.
    engine: Digest,
}

/// What [`HearthEdge::preview`] gives.
#[derive(Debug, Serialize)]
struct Preview {
    answer: Answer,
    /// Absent where the engine cannot explain this request.
    explanation: Option<ExplainAnswer>,
    /// Why the fallback answered.
    fault: Option<String>,
}

/// An answer with what was logged of it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Ranking {
    answer: String,
    row: Vec<u8>,
    fault: Option<String>,
    nan_scores: u32,
}

#[wasm_bindgen]
impl Ranking {
    /// The answer, as the API's JSON.
    #[wasm_bindgen(getter)]
    pub fn answer(&self) -> String {
        self.answer.clone()
    }

    /// The record, in the bytes of an edge's spool; it is logged where the bundle's share of requests has this one.
    #[wasm_bindgen(getter)]
    pub fn row(&self) -> Vec<u8> {
        self.row.clone()
    }

    /// Why the fallback answered; `undefined` where the model did.
    #[wasm_bindgen(getter)]
    pub fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// How many candidates the model gave no score.
    #[wasm_bindgen(getter)]
    pub fn nan_scores(&self) -> u32 {
        self.nan_scores
    }
}

#[wasm_bindgen]
impl HearthEdge {
    /// Reads a channel from the registry behind a URL, and verifies and loads the bundles it names.
    ///
    /// `trust` is the pinned root document; it must come with the page, never from the registry.
    ///
    /// # Errors
    /// A document, pointer or bundle that is refused, as an `Error` that says why.
    pub async fn open(
        registry: String,
        trust: Vec<u8>,
        channel: String,
        surface: String,
        database: String,
    ) -> Result<HearthEdge, JsValue> {
        let publishers = Root::pinned(&trust).and_then(|root| root.trusted(Role::Publisher)).map_err(refuse)?;
        let database: Database = open_database(&database).await?.unchecked_into();
        let registry = Registry::at(&registry);
        let key = format!("{surface}/{channel}");
        let seen = read(&database, "sequences", &key).await?.as_f64().map(|x| x as u64);
        let (pointer, _) = registry.channel(&surface, &channel, &publishers, seen, now_ms()).await.map_err(refuse)?;
        let host = Host::default();
        let mut engine = None;
        let mut arms = Vec::new();
        for arm in &pointer.arms {
            let bundle = registry.bundle(arm.bundle).await.map_err(refuse)?;
            let got = &bundle.manifest().surface;
            if *got != surface {
                let (arm, got) = (arm.name.clone(), got.clone());
                return Err(refuse(LoadError::Surface { arm, got, expected: surface }));
            }
            let newer = match arm.tables {
                Some(digest) => Some(registry.blob(digest).await.map_err(refuse)?),
                None => None,
            };
            engine.get_or_insert(Digest::of(bundle.engine()));
            let arm = Arm::build(arm.clone(), &bundle, newer, Vec::new(), &host, Limits::serving()).map_err(refuse)?;
            arms.push(arm.into());
        }
        let sequence = pointer.sequence;
        // Another tab may have seen a newer one meanwhile.
        let change = Closure::new(move |seen: JsValue| {
            let seen = seen.as_f64().unwrap_or(0.0);
            if sequence as f64 > seen { JsValue::from(sequence as f64) } else { JsValue::UNDEFINED }
        });
        update(&database, "sequences", &key, &change, JsValue::UNDEFINED).await?;
        let engine = engine.ok_or_else(|| JsValue::from(Error::new("the channel names no bundle")))?;
        let installation = installation(&database).await?;
        Ok(HearthEdge { database, installation, serving: Serving { pointer, arms }, engine })
    }

    /// The user where an event names none: a random id that this page's database has kept since it was made.
    #[wasm_bindgen(getter)]
    pub fn installation(&self) -> String {
        self.installation.clone()
    }

    /// The digest of the engine's bytes: of the first bundle, where the channel splits traffic.
    #[wasm_bindgen(getter)]
    pub fn engine(&self) -> String {
        self.engine.to_string()
    }

    /// A request to begin with: the first items of the tables, every declared field missing.
    #[wasm_bindgen(js_name = madeUp)]
    pub fn made_up(&self) -> String {
        let arm = &self.serving.arms[0];
        let schema = &arm.encoder.schema;
        let missing = |fields: &[Field]| fields.iter().map(|field| (field.name.clone(), None)).collect();
        let items = arm.snapshot_for(now_ms()).tables.items.iter().take(SHOWN);
        let candidate = |item: &String| Candidate { item: item.clone(), fields: missing(&schema.candidate) };
        json(&RequestEvent {
            id: "made-up".into(),
            ts: now_ms(),
            offset_min: 0,
            user: self.installation.clone(),
            surface: self.serving.pointer.surface.clone(),
            attributes: missing(&schema.user),
            context: missing(&schema.context),
            candidates: items.map(candidate).collect(),
            exclude: Vec::new(),
        })
    }

    /// Ranks and explains a request event for a user with these interactions; nothing is kept or logged.
    ///
    /// # Errors
    /// A request or an interaction that is refused.
    pub fn preview(&self, request: String, interactions: String) -> Result<String, JsValue> {
        let event = self.request(&request)?;
        let history = given(&interactions)?;
        let explanation = self.serving.explain(event.clone(), &history).ok();
        let Answered { answer, fault, .. } = self.serving.answer(event, &history, now_ms()).map_err(refuse)?;
        Ok(json(&Preview { answer, explanation, fault: fault.map(|fault| fault.to_string()) }))
    }

    /// The interactions in a user's history, as interaction events.
    ///
    /// # Errors
    /// The database fails, or holds a history of another version.
    pub async fn interactions(&self, user: String) -> Result<String, JsValue> {
        let history = history(&read(&self.database, "histories", &user).await?).map_err(refuse)?;
        Ok(json(&history.events(&user)))
    }

    /// Ranks a request event; what the bundle says is logged of it is in the spool when this returns.
    ///
    /// # Errors
    /// A request that is refused. A failing model is no error: the fallback answers.
    pub async fn rank(&self, request: String) -> Result<Ranking, JsValue> {
        let event = self.request(&request)?;
        let history = history(&read(&self.database, "histories", &event.user).await?).map_err(refuse)?;
        self.log(event, &history).await
    }

    /// Like [`HearthEdge::rank`], for a user with these interactions: what [`HearthEdge::preview`] shows is logged.
    ///
    /// The stored history is neither read nor changed.
    ///
    /// # Errors
    /// A request or an interaction that is refused.
    #[wasm_bindgen(js_name = rankWith)]
    pub async fn rank_with(&self, request: String, interactions: String) -> Result<Ranking, JsValue> {
        let event = self.request(&request)?;
        self.log(event, &given(&interactions)?).await
    }

    /// Takes an interaction event; it is in the history and the spool when this returns.
    ///
    /// # Errors
    /// An event that is refused.
    pub async fn interact(&self, interaction: String) -> Result<(), JsValue> {
        let event: InteractionEvent = self.of_user(&interaction)?;
        event.check().map_err(refuse)?;
        // Read before the transaction, so that a history of another version is an error and not lost.
        history(&read(&self.database, "histories", &event.user).await?).map_err(refuse)?;
        let entry = Interaction::from(&event);
        let change = Closure::new(move |stored: JsValue| {
            let Ok(mut history) = history(&stored) else { return JsValue::UNDEFINED };
            let new = history.insert(entry.clone());
            if new { Uint8Array::from(history.to_bytes().as_slice()).into() } else { JsValue::UNDEFINED }
        });
        update(&self.database, "histories", &event.user, &change, bytes(&Entry::from(&event))).await?;
        Ok(())
    }

    /// Takes an impression event; it is in the spool when this returns.
    ///
    /// # Errors
    /// An event that is refused.
    pub async fn impression(&self, impression: String) -> Result<(), JsValue> {
        let event: ImpressionEvent = parse(&impression)?;
        event.check().map_err(refuse)?;
        append(&self.database, bytes(&Entry::from(&event))).await?;
        Ok(())
    }
}

impl HearthEdge {
    /// Ranks, and writes what the bundle says is logged to the spool.
    async fn log(&self, event: RequestEvent, history: &History) -> Result<Ranking, JsValue> {
        let Answered { answer, log, fault, nan_scores } =
            self.serving.answer(event, history, now_ms()).map_err(refuse)?;
        let row = codec::encode(&Entry::Rows(Box::new(log.record.clone())));
        for entry in log.entries() {
            append(&self.database, bytes(&entry)).await?;
        }
        Ok(Ranking { answer: json(&answer), row, fault: fault.map(|f| f.to_string()), nan_scores })
    }

    /// An event of a user, of this installation where it names none.
    fn of_user<T: DeserializeOwned>(&self, text: &str) -> Result<T, JsValue> {
        match serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text) {
            Ok(fields) if !fields.is_empty() && !fields.contains_key("user") => {
                parse(&text.replacen('{', &format!("{{\"user\":\"{}\",", self.installation), 1))
            }
            // Malformed text as well: what is parsed says what is wrong with it.
            _ => parse(text),
        }
    }

    /// A request event of this edge's surface.
    fn request(&self, text: &str) -> Result<RequestEvent, JsValue> {
        let event: RequestEvent = self.of_user(text)?;
        event.check().map_err(refuse)?;
        let expected = &self.serving.pointer.surface;
        if event.surface != *expected {
            return Err(Error::new(&format!("a request of surface `{}`, this is `{expected}`", event.surface)).into());
        }
        Ok(event)
    }
}

/// The random id that a database keeps, beside the sequences, whose keys have a slash; made where there is none.
async fn installation(database: &Database) -> Result<String, JsValue> {
    const KEY: &str = "installation";
    if let Some(kept) = read(database, "sequences", KEY).await?.as_string() {
        return Ok(kept);
    }
    let change = Closure::new(|kept: JsValue| match kept.is_string() {
        true => JsValue::UNDEFINED,
        false => random_id().into(),
    });
    // Another tab may have made one meanwhile.
    update(database, "sequences", KEY, &change, JsValue::UNDEFINED).await?;
    let kept = read(database, "sequences", KEY).await?.as_string();
    kept.ok_or_else(|| Error::new("the database does not keep what is written").into())
}

/// What a thrown value says.
pub(crate) fn words(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{thrown:?}"),
    }
}

/// The history of a user with these interactions, whoever they say did them.
fn given(interactions: &str) -> Result<History, JsValue> {
    let mut history = History::default();
    for interaction in parse::<Vec<InteractionEvent>>(interactions)? {
        interaction.check().map_err(refuse)?;
        history.insert(Interaction::from(&interaction));
    }
    Ok(history)
}

/// An entry as the spool has it.
fn bytes(entry: &Entry) -> JsValue {
    Uint8Array::from(codec::encode(entry).as_slice()).into()
}

fn history(stored: &JsValue) -> Result<History, codec::CodecError> {
    match stored.dyn_ref::<Uint8Array>() {
        Some(bytes) => History::from_bytes(&bytes.to_vec()),
        None => Ok(History::default()),
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, JsValue> {
    serde_json::from_str(text).map_err(refuse)
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages are plain data with string keys")
}

fn refuse(error: impl std::error::Error) -> JsValue {
    Error::new(&error.to_string()).into()
}

fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}
