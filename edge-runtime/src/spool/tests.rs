use super::*;

fn entry(k: u32) -> Entry {
    Entry::Interaction(format!("{{\"id\":\"i{k}\",\"ts\":{k},\"user\":\"u\",\"item\":\"x\",\"action\":\"play\"}}"))
}

fn write(folder: &Path, entries: &[Entry], settings: Settings) {
    let spool = Spool::open(folder, settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for entry in entries {
        runtime.block_on(spool.append(std::slice::from_ref(entry))).unwrap();
    }
}

fn entries(folder: &Path) -> Vec<Entry> {
    read_from(folder, Position::default()).unwrap().into_iter().map(|(entry, _)| entry).collect()
}

#[test]
fn what_is_written_is_read_over_segments_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: 200, ..Settings::default() };
    write(folder.path(), &[entry(1), entry(2), entry(3)], small);
    write(folder.path(), &[entry(4), entry(2)], small);
    assert!(segments(folder.path()).unwrap().len() > 1);
    assert_eq!(entries(folder.path()), [entry(1), entry(2), entry(3), entry(4), entry(2)]);
    let contents = read(folder.path()).unwrap();
    assert_eq!((contents.interactions.len(), contents.duplicates), (4, 1));
    let all = read_from(folder.path(), Position::default()).unwrap();
    let rest = read_from(folder.path(), all[2].1).unwrap();
    assert_eq!(rest.into_iter().map(|(e, _)| e).collect::<Vec<_>>(), [entry(4), entry(2)]);
}

#[test]
fn a_torn_end_is_cut_at_every_byte_and_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[entry(1), entry(2)], Settings::default());
    let path = segments(folder.path()).unwrap().pop().unwrap().1;
    let whole = std::fs::read(&path).unwrap();
    let first = read_from(folder.path(), Position::default()).unwrap()[0].1.offset as usize;
    for cut in first..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        write(folder.path(), &[entry(3)], Settings::default());
        assert_eq!(entries(folder.path()), [entry(1), entry(3)], "cut at {cut}");
    }
}

#[test]
fn corruption_before_the_end_is_an_error_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[entry(1), entry(2)], Settings::default());
    let path = segments(folder.path()).unwrap().pop().unwrap().1;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER + 12] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(read(folder.path()), Err(SpoolError::Corrupt { offset: 8, .. })));
    assert!(matches!(Spool::open(folder.path(), Settings::default()), Err(SpoolError::Corrupt { .. })));
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(Spool::open(folder.path(), Settings::default()), Err(SpoolError::Corrupt { offset: 0, .. })));
}
