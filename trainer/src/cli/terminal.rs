//! What people see: progress on standard error, tables on standard output, JSON for machines, errors with their causes.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// A progress bar on standard error; when that is no terminal, one line at the start and none in between.
pub fn progress(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:<28} {bar:30} {pos}/{len} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}");
    }
    bar
}

/// A sign of life on standard error for work of unknown length.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = progress(what);
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}

/// A callback `(done, total)` that moves a bar.
pub fn moves(bar: &ProgressBar) -> impl Fn(u64, u64) + Sync + '_ {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// Prints a line to standard output; where nobody reads it any more (`trainer .. | head`), the process ends in peace.
pub(super) fn line(text: std::fmt::Arguments) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// `println!` that does not panic on a closed pipe.
macro_rules! say {
    () => { $crate::cli::terminal::line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::terminal::line(format_args!($($text)*)) };
}

pub(super) use say;

/// What services log unless `RUST_LOG` says otherwise; Ballista's scheduler calls it an error that it cannot draw a plan.
const FILTER: &str = "warn,trainer=info,ballista_scheduler::display=off";

/// Writes what a service logs to standard error: warnings, and what it is about; `RUST_LOG` says otherwise.
pub(super) fn logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(in_colour()).init();
}

/// A table with right-aligned numbers after the first column.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Prints a result for machines, on one line.
///
/// # Errors
/// Standard output is closed.
pub fn print_json(result: &impl serde::Serialize) -> Result<()> {
    line(format_args!("{}", serde_json::to_string(result)?));
    Ok(())
}

/// Prints an error and its causes to standard error, in colour on a terminal.
pub fn print_error(error: &anyhow::Error) {
    let label = if in_colour() { "\x1b[1;31merror\x1b[0m" } else { "error" };
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent wrappers repeat what is said already.
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    eprintln!("{label}: {message}");
}

fn in_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
