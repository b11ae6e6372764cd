//! A simulated Home in a folder, taken through the trainer's commands as people run them.
//!
//! Everything has the same name in every folder: `data`, `log`, `run`, `keys`, `registry`.

use std::path::{Path, PathBuf};

use crate::binary::trainer_ok;

/// Where the commands publish, and with which key.
pub const TARGET: [&str; 6] = ["--registry", "registry", "--channel", "stable", "--key", "keys/publisher.key"];

/// The spec of a surface that ships.
pub fn spec(surface: &str) -> String {
    workspace().join(format!("trainer/specs/{surface}.toml")).display().to_string()
}

/// The folder of the workspace.
///
/// # Panics
/// The tests were built somewhere else.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_owned()
}

/// Simulates a world into `out`.
pub fn simulate(folder: &Path, users: u32, items: u32, days: u32, seed: u64, out: &str) {
    let numbers = [users.to_string(), items.to_string(), days.to_string(), seed.to_string()];
    let [users, items, days, seed] = numbers.each_ref().map(String::as_str);
    let world = ["--users", users, "--items", items, "--days", days, "--seed", seed, "--out", out];
    trainer_ok(folder, &[&["simulate"], &world[..]].concat());
}

/// Replays and trains on `data`, and publishes the run whatever the gate says.
pub fn publish(folder: &Path, surface: &str, data: &str) {
    publish_spec(folder, &spec(surface), data);
}

/// [`publish`] with a spec file.
pub fn publish_spec(folder: &Path, spec: &str, data: &str) {
    trainer_ok(folder, &["replay", "--data", data, "--spec", spec, "--out", "log"]);
    trainer_ok(folder, &["train", "--log", "log", "--spec", spec, "--out", "run"]);
    trainer_ok(folder, &["keys", "init", "--out", "keys"]);
    trainer_ok(folder, &[&["publish", "--run", "run", "--override", "a test"], &TARGET[..]].concat());
}

/// A small world with a published bundle of one surface.
pub fn published(folder: &Path, surface: &str) {
    simulate(folder, 200, 60, 14, 1, "data");
    publish(folder, surface, "data");
}

/// Copies a folder with all that is in it.
///
/// # Panics
/// Something cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}
