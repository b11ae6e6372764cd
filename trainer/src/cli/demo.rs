//! `trainer demo`: the whole loop on a simulated Home, with a real edge server at the end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use edge_runtime::runtime::Answer;
use edge_runtime::spool;
use serde_json::json;
use shared_features::column::Column;
use shared_features::encoder::Encoder;
use shared_features::event::{Event, RequestEvent};
use shared_features::feature_log::Record;

use super::terminal::say;
use super::{Run, terminal};
use crate::data::simulate::{self, World};
use crate::data::store::Data;
use crate::experiment::train::Report;
use crate::release::bundle::Bundle;
use crate::release::publish::{self, Published, Target};
use crate::release::whole;

/// The specs of the simulated surfaces, by name.
const SPECS: [(&str, &str); 3] = [
    ("podcasts", include_str!("../../specs/podcasts.toml")),
    ("shortcuts", include_str!("../../specs/shortcuts.toml")),
    ("playlists", include_str!("../../specs/playlists.toml")),
];
/// Items of a shelf that are printed.
const SHELF: usize = 5;
/// Feature values printed beside an item.
const TELLING: usize = 3;

/// Simulate a Home, train three surfaces, publish what passes the gate, and ask an edge for one user's Home.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  trainer demo --out demo\n\nThe folder can be used by every other command; see what it prints last."
)]
pub(super) struct Demo {
    /// The folder to write
    #[arg(long)]
    out: PathBuf,
    /// Number of users
    #[arg(long, default_value_t = World::default().users, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    users: u32,
    /// The same seed gives the same world and the same bundles
    #[arg(long, default_value_t = World::default().seed)]
    seed: u64,
}

impl Run for Demo {
    fn run(self) -> Result<()> {
        let at = |name: &str| self.out.join(name);
        let world = World { users: self.users, seed: self.seed, ..World::default() };
        let bar = terminal::progress("simulating a Home");
        let summary = simulate::write(&world, &at("data"), &terminal::moves(&bar))?;
        bar.finish_and_clear();
        say!("{summary}\n");
        if !at("keys").join("root.json").exists() {
            publish::init_keys(&at("keys"))?;
        }
        let registry = at("registry").display().to_string();
        let target = Target::open(&registry, "stable", &at("keys/publisher.key"), 30)?;
        std::fs::create_dir_all(at("specs"))?;
        let mut results = Vec::new();
        for (surface, spec) in SPECS {
            let path = at("specs").join(format!("{surface}.toml"));
            std::fs::write(&path, spec)?;
            results.push(self.learn(surface, &path, &target)?);
        }
        print_results(&results);
        let published: Vec<&str> =
            results.iter().filter(|(_, p)| p.sequence.is_some()).map(|(r, _)| r.surface.as_str()).collect();
        if published.is_empty() {
            bail!("no surface passed its gate, so there is nothing to serve");
        }
        let data = Data::open(&at("data"))?;
        let edge = Edge::start(&self.out)?;
        let user = somebody(&data).context("the simulated world has no user with a request on every surface")?;
        say!("\nThe Home of {user}, from the edge at {}:", edge.url);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = runtime.block_on(ask(&edge.url, &data, &user, &published))?;
        drop(edge);
        let records = spool::read(&at("state").join("spool"))?.records;
        for answer in &answers {
            let record = records.iter().find(|r| r.request == answer.request).context("the edge logged no row")?;
            self.print_shelf(answer, record)?;
        }
        self.print_next(&user);
        Ok(())
    }
}

impl Demo {
    fn learn(&self, surface: &str, spec: &Path, target: &Target) -> Result<(Report, Published)> {
        let work = self.out.join(surface);
        let replaying = terminal::progress(&format!("replaying {surface}"));
        let training = terminal::progress(&format!("training {surface}"));
        let result = whole::run_once(
            &self.out.join("data"),
            spec,
            self.seed,
            &work,
            target,
            &terminal::moves(&replaying),
            &terminal::moves(&training),
        );
        replaying.finish_and_clear();
        training.finish_and_clear();
        result
    }

    fn print_shelf(&self, answer: &Answer, record: &Record) -> Result<()> {
        let run = self.out.join(&answer.surface).join("run");
        let bundle = Bundle::open(&run.to_string_lossy())?;
        let encoder = Encoder::from_bytes(&bundle.parts.load().encoder)?;
        let telling = telling(&encoder, record);
        let mut header = vec!["", "item", "score"];
        header.extend(telling.iter().map(|(name, _)| *name));
        let rows = answer.items.iter().take(SHELF).map(|item| {
            let row = item.position as usize;
            let mut cells =
                vec![(row + 1).to_string(), item.item.clone(), item.score.map_or("-".into(), |s| format!("{s:.3}"))];
            cells.extend(telling.iter().map(|(_, values)| number(values[row])));
            cells
        });
        say!("\n{}\n{}", answer.surface, terminal::table(&header, rows));
        Ok(())
    }

    fn print_next(&self, user: &str) {
        let out = self.out.display();
        say!(
            "\nNot always by score: a few places are drawn, so that rare items are tried (`exploration` in the spec)."
        );
        say!("\nNext, with what is in {out}:");
        if let Some(commands) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            say!("  find them    export PATH=\"{}:$PATH\"", commands.display());
        }
        say!(
            "  serve it     edge-runtime serve --registry {out}/registry --trust {out}/keys/root.json --channel stable --state {out}/state"
        );
        say!(
            "  ask it       curl -s localhost:8787/v1/shortcuts/rank -H 'content-type: application/json' -d '{{\"user\": \"{user}\"}}'"
        );
        say!("  judge again  trainer evaluate --run {out}/podcasts/run --log {out}/podcasts/log");
        say!(
            "  change it    edit {out}/specs/podcasts.toml, then trainer train --log {out}/podcasts/log --spec {out}/specs/podcasts.toml --out {out}/podcasts/run"
        );
        say!("  your data    docs/guide.md");
    }
}

/// A running edge server; it is stopped when dropped.
struct Edge {
    process: Child,
    url: String,
    /// Kept open, as the edge goes on printing.
    _output: BufReader<std::process::ChildStdout>,
}

impl Edge {
    /// Starts the `edge-runtime` that was built beside this binary.
    fn start(folder: &Path) -> Result<Edge> {
        let binary = std::env::current_exe()?.with_file_name(format!("edge-runtime{}", std::env::consts::EXE_SUFFIX));
        let mut process = Command::new(&binary)
            .arg("serve")
            .args(["--channel", "stable", "--listen", "127.0.0.1:0", "--registry"])
            .arg(folder.join("registry"))
            .arg("--trust")
            .arg(folder.join("keys/root.json"))
            .arg("--state")
            .arg(folder.join("state"))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("cannot start {}; build it with: cargo build --package edge-runtime", binary.display())
            })?;
        let output = process.stdout.take().context("the edge has no output")?;
        let mut output = BufReader::new(output);
        let mut first = String::new();
        output.read_line(&mut first)?;
        match first.trim().strip_prefix("listening on ") {
            Some(url) => Ok(Edge { process, url: url.to_owned(), _output: output }),
            None => bail!("the edge did not start; its own message is above"),
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // What it acknowledged is in its spool, so it may just be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A user who asked for every surface: the one with the longest history of those.
fn somebody(data: &Data) -> Option<String> {
    let mut users = data.events.iter().filter_map(|event| match event {
        Event::Request(request) if request.surface == "shortcuts" => Some(&request.user),
        _ => None,
    });
    let asked = |user: &String, surface: &str| last_request(data, user, surface).is_some();
    users.rfind(|user| asked(user, "podcasts") && asked(user, "playlists")).cloned()
}

fn last_request<'a>(data: &'a Data, user: &str, surface: &str) -> Option<&'a RequestEvent> {
    data.events.iter().rev().find_map(|event| match event {
        Event::Request(request) if request.user == user && request.surface == surface => Some(request),
        _ => None,
    })
}

/// Tells the edge what the user did, and asks it for the surfaces.
async fn ask(url: &str, data: &Data, user: &str, surfaces: &[&str]) -> Result<Vec<Answer>> {
    let client = reqwest::Client::new();
    let history: Vec<_> = data
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Interaction(interaction) if interaction.user == user => Some(interaction),
            _ => None,
        })
        .collect();
    let told = client.post(format!("{url}/v1/interactions")).json(&history).send().await?;
    if !told.status().is_success() {
        bail!("the edge refused the history: {}", told.text().await?);
    }
    let mut answers = Vec::new();
    for surface in surfaces {
        let Some(last) = last_request(data, user, surface) else { continue };
        let body = json!({
            "user": user, "ts": last.ts, "offset_min": last.offset_min, "attributes": last.attributes,
            "context": last.context, "candidates": last.candidates,
        });
        let answer = client.post(format!("{url}/v1/{surface}/rank")).json(&body).send().await?;
        if !answer.status().is_success() {
            bail!("the edge refused the request: {}", answer.text().await?);
        }
        answers.push(answer.json().await?);
    }
    Ok(answers)
}

/// The numeric features whose values follow the scores of this slate most closely.
fn telling<'a>(encoder: &'a Encoder, record: &'a Record) -> Vec<(&'a str, &'a [f32])> {
    let slate = record.rows.ranks.iter().filter(|r| **r != shared_features::rank::UNRANKED).count();
    let scores = &record.rows.scores[..slate];
    let mut features: Vec<(f64, &str, &[f32])> = encoder
        .features
        .iter()
        .zip(&record.rows.values.columns)
        .filter_map(|(feature, column)| match column {
            Column::Number(values) => {
                Some((correlation(&values[..slate], scores).abs(), feature.name.as_str(), values.as_slice()))
            }
            _ => None,
        })
        .collect();
    features.sort_by(|a, b| b.0.total_cmp(&a.0));
    features.into_iter().take(TELLING).map(|(_, name, values)| (name, values)).collect()
}

/// Pearson's correlation over the rows where nothing is missing; 0 where there is nothing to compare.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .filter(|(a, b)| !a.is_nan() && !b.is_nan())
        .map(|(a, b)| (f64::from(*a), f64::from(*b)))
        .collect();
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(|p| p.0), mean(|p| p.1));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in &pairs {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    let scale = (aa * bb).sqrt();
    if pairs.len() < 3 || scale.is_nan() || scale == 0.0 { 0.0 } else { ab / scale }
}

fn number(x: f32) -> String {
    if x.is_nan() { "-".into() } else { format!("{x:.3}") }
}

fn print_results(results: &[(Report, Published)]) {
    let mut rows = Vec::new();
    for (report, published) in results {
        let evaluation = &report.evaluation;
        let status = match published.sequence {
            Some(sequence) => format!("published (sequence {sequence})"),
            None => "gate failed".into(),
        };
        let model = evaluation.model.primary();
        rows.push(vec![report.surface.clone(), "model".into(), model.to_string(), String::new(), status]);
        for (name, metrics) in &evaluation.baselines {
            let gain =
                evaluation.difference.get(name).map(|d| format!("{:+.4} [{:+.4}, {:+.4}]", d.value, d.low, d.high));
            rows.push(vec![
                String::new(),
                name.clone(),
                metrics.primary().to_string(),
                gain.unwrap_or_default(),
                String::new(),
            ]);
        }
        for (name, metrics) in &evaluation.references {
            rows.push(vec![
                String::new(),
                format!("({name})"),
                metrics.primary().to_string(),
                String::new(),
                String::new(),
            ]);
        }
    }
    say!("Judged on the last week, which nothing was trained on:");
    say!("{}", terminal::table(&["surface", "ranked by", "NDCG@10 [95 %]", "model's gain", ""], rows));
}
