//! Protocol buffers' text format as a tree, without a schema: fields by name, in order, with their lines.
//!
//! Reads comments, both brackets, lists, and strings in pieces with their escapes; knows no extensions, which are refused.
//!
//! # Source
//! The "Text Format Language Specification" of Protocol Buffers.

/// Fields in the order of the text; a repeated field occurs repeatedly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// All of them.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// What it holds.
    pub value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `{ .. }`
    Message(Message),
    /// A string, its escapes resolved; bytes that are no UTF-8 are replaced.
    String(String),
    /// A number, `true`, or the name of an enumeration's value, as written.
    Word(String),
}

/// A text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TextProtoError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// How deep messages may be in each other.
const MAX_DEPTH: usize = 64;

impl Message {
    /// Reads a text.
    ///
    /// # Errors
    /// The line where it is none.
    pub fn parse(text: &str) -> Result<Message, TextProtoError> {
        let mut reader = Reader { bytes: text.as_bytes(), at: 0, line: 1 };
        let message = reader.message(None, 0)?;
        Ok(message)
    }

    /// The fields of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.fields.iter().filter(move |f| f.name == name).map(|f| &f.value)
    }

    /// The last field of a name, which is the one that counts.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().rev().find(|f| f.name == name).map(|f| &f.value)
    }

    /// The message of a name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        match self.get(name)? {
            Value::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The text of a string or word of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::String(text) | Value::Word(text) => Some(text),
            Value::Message(_) => None,
        }
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    /// Fields up to `close`, which is consumed, or to the end.
    fn message(&mut self, close: Option<u8>, depth: usize) -> Result<Message, TextProtoError> {
        if depth > MAX_DEPTH {
            return Err(self.error("messages are too deep in each other"));
        }
        let mut message = Message::default();
        loop {
            match (self.peek(), close) {
                (None, None) => return Ok(message),
                (None, Some(close)) => return Err(self.error(&format!("`{}` is missing at the end", close as char))),
                (Some(byte), Some(close)) if byte == close => {
                    self.at += 1;
                    return Ok(message);
                }
                (Some(b',' | b';'), _) if !message.fields.is_empty() => self.at += 1,
                _ => self.field(&mut message, depth)?,
            }
        }
    }

    fn field(&mut self, message: &mut Message, depth: usize) -> Result<(), TextProtoError> {
        let line = self.line;
        let name = self.word().ok_or_else(|| self.error(&format!("expected a field's name, got {}", self.seen())))?;
        let colon = self.eat(b':');
        let mut push = |value| message.fields.push(Field { name: name.clone(), line, value });
        if colon && self.eat(b'[') {
            if self.eat(b']') {
                return Ok(());
            }
            loop {
                push(self.value(&name, depth)?);
                if !self.eat(b',') {
                    break;
                }
            }
            if !self.eat(b']') {
                return Err(self.error(&format!("expected `,` or `]` in the list of `{name}`, got {}", self.seen())));
            }
            return Ok(());
        }
        if !colon && !matches!(self.peek(), Some(b'{' | b'<')) {
            return Err(self.error(&format!("expected `:` or `{{` after `{name}`, got {}", self.seen())));
        }
        push(self.value(&name, depth)?);
        Ok(())
    }

    fn value(&mut self, name: &str, depth: usize) -> Result<Value, TextProtoError> {
        match self.peek() {
            Some(open @ (b'{' | b'<')) => {
                self.at += 1;
                let close = if open == b'{' { b'}' } else { b'>' };
                Ok(Value::Message(self.message(Some(close), depth + 1)?))
            }
            Some(b'"' | b'\'') => {
                let mut bytes = Vec::new();
                while let Some(quote @ (b'"' | b'\'')) = self.peek() {
                    self.at += 1;
                    self.string(quote, &mut bytes)?;
                }
                Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => match self.word() {
                Some(word) => Ok(Value::Word(word)),
                None => Err(self.error(&format!("expected a value of `{name}`, got {}", self.seen()))),
            },
        }
    }

    /// The rest of a string after its opening quote.
    fn string(&mut self, quote: u8, bytes: &mut Vec<u8>) -> Result<(), TextProtoError> {
        loop {
            let byte = self.bytes.get(self.at).copied();
            self.at += 1;
            match byte {
                None | Some(b'\n') => return Err(self.error("the string has no end")),
                Some(byte) if byte == quote => return Ok(()),
                Some(b'\\') => self.escape(bytes)?,
                Some(byte) => bytes.push(byte),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), TextProtoError> {
        let kind = self.bytes.get(self.at).copied();
        self.at += 1;
        let plain = match kind {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'v') => 11,
            Some(byte @ (b'\\' | b'\'' | b'"' | b'?')) => byte,
            Some(b'0'..=b'7') => {
                self.at -= 1;
                self.digits(8, 3) as u8
            }
            Some(b'x' | b'X') => self.digits(16, 2) as u8,
            Some(kind @ (b'u' | b'U')) => {
                let code = self.digits(16, if kind == b'u' { 4 } else { 8 });
                let Some(character) = char::from_u32(code) else {
                    return Err(self.error(&format!("`\\{}{code:x}` is no character", kind as char)));
                };
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("a string has an unknown escape")),
        };
        bytes.push(plain);
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> u32 {
        let mut number = 0;
        for _ in 0..most {
            let digit = self.bytes.get(self.at).and_then(|&b| (b as char).to_digit(radix));
            let Some(digit) = digit else { break };
            number = number * radix + digit;
            self.at += 1;
        }
        number
    }

    /// A name or a number; `None` where there is none.
    fn word(&mut self) -> Option<String> {
        self.peek()?;
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(b)).count();
        self.at += length;
        (length > 0).then(|| String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// The next byte that is neither blank nor in a comment.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => {
                    while self.bytes.get(self.at).is_some_and(|&b| b != b'\n') {
                        self.at += 1;
                    }
                }
                &byte => return Some(byte),
            }
        }
    }

    fn seen(&self) -> String {
        match self.bytes.get(self.at) {
            None => "the end".to_owned(),
            Some(_) => {
                let rest = String::from_utf8_lossy(&self.bytes[self.at..self.bytes.len().min(self.at + 40)]);
                format!("`{}`", rest.chars().next().unwrap_or_default())
            }
        }
    }

    fn error(&self, reason: &str) -> TextProtoError {
        TextProtoError { line: self.line, reason: reason.to_owned() }
    }
}

/// A string as the text format quotes it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' => quoted.push_str("\\\""),
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' => quoted.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("\\{byte:03o}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let text =
            "# a comment\na { b: 1 c < d: \"x\\n\" 'y\\303\\251' > }\nlist: [1, -2.5e3]; e: NAME, f: { } g: []\n";
        let message = Message::parse(text).unwrap();
        let a = message.message("a").unwrap();
        assert_eq!(a.number("b"), Some(1.0));
        assert_eq!(a.message("c").unwrap().text("d"), Some("x\ny\u{e9}"));
        let list: Vec<_> = message.all("list").collect();
        assert_eq!(list, [&Value::Word("1".into()), &Value::Word("-2.5e3".into())]);
        assert_eq!((message.text("e"), message.message("f")), (Some("NAME"), Some(&Message::default())));
        assert_eq!(message.fields.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 3, 3, 3, 3]);
    }

    #[test]
    fn what_is_none_is_refused_with_its_line() {
        let cases = [
            ("a {\n b: 1\n", 3, "`}` is missing at the end"),
            ("\na 1", 2, "expected `:` or `{` after `a`, got `1`"),
            ("a: \"x", 1, "the string has no end"),
            ("a: \"\\q\"", 1, "a string has an unknown escape"),
            ("a: \"\\ud800\"", 1, "`\\ud800` is no character"),
            ("a: [1 2]", 1, "expected `,` or `]` in the list of `a`, got `2`"),
            ("a: }", 1, "expected a value of `a`, got `}`"),
            ("}", 1, "expected a field's name, got `}`"),
            ("a:", 1, "expected a value of `a`, got the end"),
        ];
        for (text, line, reason) in cases {
            assert_eq!(Message::parse(text), Err(TextProtoError { line, reason: reason.into() }), "{text}");
        }
        let deep = "a {".repeat(100_000);
        assert!(Message::parse(&deep).unwrap_err().reason.contains("too deep"));
    }

    #[test]
    fn a_quoted_string_reads_back() {
        for text in ["", "a \"b\" \\ 'c'\n\t\r", "caf\u{e9} \u{1f600} \u{7}"] {
            let message = Message::parse(&format!("a: {}", quote(text))).unwrap();
            assert_eq!(message.text("a"), Some(text));
        }
    }
}
