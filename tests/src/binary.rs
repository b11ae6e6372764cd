//! The workspace's real binaries, as child processes.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Where a binary of the workspace was built.
///
/// # Panics
/// It was not built; `make test` builds the whole workspace first.
pub fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("tests are built two levels below their profile's folder");
    let binary = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing; run `cargo build --workspace` first", binary.display());
    binary
}

/// Runs the trainer in a folder.
pub fn trainer(folder: &std::path::Path, arguments: &[&str]) -> Output {
    trainer_with(folder, arguments, &[])
}

/// [`trainer`] with variables of its environment.
pub fn trainer_with(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut trainer = Command::new(path("trainer"));
    trainer.current_dir(folder).args(arguments).envs(environment.iter().copied());
    trainer.output().expect("the trainer starts")
}

/// Runs the trainer, which must succeed, and gives its standard output.
#[track_caller]
pub fn trainer_ok(folder: &std::path::Path, arguments: &[&str]) -> String {
    trainer_ok_with(folder, arguments, &[])
}

/// [`trainer_ok`] with variables of its environment.
#[track_caller]
pub fn trainer_ok_with(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = trainer_with(folder, arguments, environment);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "trainer {}: {error}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("the trainer prints UTF-8")
}

/// Runs the trainer, which must fail without a panic, and gives its standard error.
#[track_caller]
pub fn trainer_fails(folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = trainer(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "trainer {}: {error}", arguments.join(" "));
    assert!(!error.contains("panicked"), "trainer {}: {error}", arguments.join(" "));
    error
}
