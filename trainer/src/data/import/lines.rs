//! Lines of a file, compressed or not, with their numbers and with a limit on their length.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

/// Longest line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 8 << 20;

/// How many bytes of all files were read.
#[derive(Clone, Debug, Default)]
pub(super) struct BytesRead(Rc<Cell<u64>>);

impl BytesRead {
    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

struct Counting {
    file: File,
    read: BytesRead,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.read.0.set(self.read.0.get() + n as u64);
        Ok(n)
    }
}

/// Opens a file; gzip is known by its first bytes, not its name.
pub(super) fn open(path: &Path, read: &BytesRead) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(Counting { file: File::open(path)?, read: read.clone() });
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

/// Calls `each` with the number of every line that is not blank and its text, or why it is refused.
///
/// # Errors
/// The file cannot be read, or its compression is broken.
pub(super) fn for_each(reader: &mut dyn BufRead, mut each: impl FnMut(u64, Result<&str, String>)) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut line = 0;
    loop {
        buffer.clear();
        line += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        if reader.take(limit).read_until(b'\n', &mut buffer)? == 0 {
            return Ok(());
        }
        let ended = buffer.ends_with(b"\n");
        while buffer.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            buffer.pop();
        }
        if !ended && buffer.len() > MAX_LINE_BYTES {
            each(line, Err(format!("the line has more than {MAX_LINE_BYTES} bytes")));
            reader.skip_until(b'\n')?;
            continue;
        }
        match std::str::from_utf8(&buffer) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => each(line, Ok(text.trim_start_matches('\u{feff}'))),
            Err(e) => each(line, Err(format!("not UTF-8 at byte {}", e.valid_up_to() + 1))),
        }
    }
}

/// A reader that fails at a line that is too long, before it is held in memory.
pub(super) struct Limited<R> {
    inner: R,
    line_bytes: usize,
}

impl<R> Limited<R> {
    pub(super) fn new(inner: R) -> Self {
        Limited { inner, line_bytes: 0 }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        for part in buffer[..n].split_inclusive(|b| *b == b'\n') {
            self.line_bytes += part.len();
            if self.line_bytes > MAX_LINE_BYTES {
                return Err(io::Error::other(format!("a line has more than {MAX_LINE_BYTES} bytes")));
            }
            if part.ends_with(b"\n") {
                self.line_bytes = 0;
            }
        }
        Ok(n)
    }
}
