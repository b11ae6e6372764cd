//! The table of `docs/parity.md`, and the same in a terminal.

use std::fmt::Write;

use super::compare::Outcome;

/// Opens and closes the part of the page that the command writes.
const MARKS: (&str, &str) = ("<!-- written by make parity -->\n", "<!-- end -->\n");

/// What was compared and how every host did, as Markdown.
pub fn table(outcome: &Outcome, date: &str) -> String {
    let mut text = format!(
        "{date}: {} cases.\n\n| host | version | cases | differing cases | digest over all digests | seconds |\n|---|---|--:|--:|---|--:|\n",
        grouped(outcome.total())
    );
    for host in &outcome.hosts {
        let digest = &host.digest.to_string()[..16];
        let (cases, differing) = (grouped(outcome.total()), grouped(host.differing));
        let seconds = host.time.as_secs();
        let _ = writeln!(text, "| {} | {} | {cases} | {differing} | `{digest}` | {seconds} |", host.name, host.version);
    }
    text += "\n| cases | count |\n|---|--:|\n";
    for (part, cases) in &outcome.cases {
        let _ = writeln!(text, "| {part} | {} |", grouped(*cases));
    }
    for host in outcome.hosts.iter().filter(|host| !host.named.is_empty()) {
        let _ = writeln!(text, "\n{} differs, first in: {}.", host.name, host.named.join("; "));
    }
    text
}

/// The page with its table replaced.
///
/// # Errors
/// A page without the marks that enclose it.
pub fn replace(page: &str, table: &str) -> Result<String, String> {
    let missing = || format!("the page has no `{}` .. `{}`", MARKS.0.trim(), MARKS.1.trim());
    let (before, rest) = page.split_once(MARKS.0).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS.1).ok_or_else(missing)?;
    Ok(format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1))
}

/// 1000000 as 1,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap_or_default()).collect();
    parts.join(",")
}
