//! For tests: the taxi trips of TFDV's tutorial, and what TFDV 1.16.1 says of them, in the folder that HEARTH_DATA names.

use std::path::PathBuf;

use super::schema::text_proto::Message;
use super::statistics::{Settings, Statistics, of};

/// The folder; `None`, and a line that says so, where it is not there.
pub(super) fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_DATA").map(|data| PathBuf::from(data).join("chicago-taxi"));
    if folder.is_none() {
        println!("skipped: {test}: HEARTH_DATA is not set; run `make real DATA=FOLDER`");
    }
    folder.filter(|folder| {
        let there = folder.is_dir();
        if !there {
            println!("skipped: {test}: {} is not there; run `make real DATA=FOLDER`", folder.display());
        }
        there
    })
}

/// Statistics of a file of the folder.
pub(super) fn statistics(folder: &std::path::Path, file: &str) -> Statistics {
    of(&[folder.join(file)], &Settings::default(), &|_, _| {}).unwrap()
}

/// What TFDV says.
pub(super) fn reference(folder: &std::path::Path, file: &str) -> Message {
    let text = std::fs::read_to_string(folder.join("tfdv_reference").join(file)).unwrap();
    Message::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}
