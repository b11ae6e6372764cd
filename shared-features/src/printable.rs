//! Texts that others wrote, as they are printed: nothing in them that a terminal obeys, and no more than people read.

/// Most characters of a name.
const NAME: usize = 80;
/// Most characters of a sentence.
const SENTENCE: usize = 1_000;

/// A name out of a file: its first 80 characters, and an ellipsis where there are more.
pub fn name(text: &str) -> String {
    escaped(&first(text, NAME))
}

/// A sentence that has names of others in backticks: each cut like [`name`], and the whole after 1,000 characters.
pub fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts: Vec<String> = parts.map(|(k, part)| first(part, if k % 2 == 1 { NAME } else { SENTENCE })).collect();
    escaped(&first(&parts.join("`"), SENTENCE))
}

fn first(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let mut first: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        first.push('…');
    }
    first
}

/// Quotes and backslashes, which `escape_debug` would escape too, are harmless.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            c => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(name("\u{1b}[31mé\n\u{202e}"), "\\u{1b}[31mé\\n\\u{202e}");
        assert_eq!(sentence(r#"the encoder's "x\y""#), r#"the encoder's "x\y""#);
    }

    #[test]
    fn long_names_and_sentences_are_cut() {
        let long = "é".repeat(200_000);
        let cut = format!("{}…", "é".repeat(80));
        assert_eq!(name(&long), cut);
        assert_eq!(name(&long[..160]), &long[..160], "80 characters");
        assert_eq!(sentence(&format!("it reads `{long}`, twice")), format!("it reads `{cut}`, twice"));
        assert_eq!(sentence(&long).chars().count(), 1_001);
    }
}
