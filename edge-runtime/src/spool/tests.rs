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
    assert!(segments::list(folder.path()).unwrap().len() > 1);
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
    let path = segments::list(folder.path()).unwrap().pop().unwrap().path;
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
    let path = segments::list(folder.path()).unwrap().pop().unwrap().path;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER + 12] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(read(folder.path()), Err(SpoolError::Corrupt { offset: 8, .. })));
    assert!(matches!(Spool::open(folder.path(), Settings::default()), Err(SpoolError::Corrupt { .. })));
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(Spool::open(folder.path(), Settings::default()), Err(SpoolError::Corrupt { offset: 0, .. })));
}

#[test]
fn a_damaged_length_is_no_torn_end() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[entry(1), entry(2), entry(3)], Settings::default());
    let path = segments::list(folder.path()).unwrap().pop().unwrap().path;
    let mut bytes = std::fs::read(&path).unwrap();
    // The first frame now seems to reach beyond the file, over the two entries behind it.
    bytes[HEADER + 2] = 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(read(folder.path()), Err(SpoolError::Corrupt { offset: 8, .. })));
    assert!(matches!(Spool::open(folder.path(), Settings::default()), Err(SpoolError::Corrupt { offset: 8, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was cut off");
}

#[test]
fn only_the_last_segment_may_be_torn() {
    let folder = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: 100, ..Settings::default() };
    write(folder.path(), &[entry(1), entry(2), entry(3), entry(4)], small);
    let path = segments::list(folder.path()).unwrap()[0].path.clone();
    let bytes = std::fs::read(&path).unwrap();
    for length in [bytes.len() - 1, 0] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(read(folder.path()), Err(SpoolError::Corrupt { .. })), "{length}");
    }
}

#[test]
fn an_entry_that_no_reader_would_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Settings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let huge = Entry::Impression(" ".repeat(MAX_PAYLOAD as usize));
    assert!(matches!(runtime.block_on(spool.append(&[entry(1), huge])), Err(SpoolError::TooLarge { .. })));
    runtime.block_on(spool.append(&[entry(2)])).unwrap();
    drop(spool);
    assert_eq!(entries(folder.path()), [entry(2)]);
}

/// A file that is open for reading only stands in for one on a full disk.
#[test]
fn what_a_full_disk_does_not_take_is_taken_back_and_the_next_write_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = segments::path(folder.path(), 1);
    std::fs::write(&path, MAGIC).unwrap();
    let append = || OpenOptions::new().append(true).open(&path).unwrap();
    let mut writer = Writer {
        folder: folder.path().to_owned(),
        settings: Settings::default(),
        file: append(),
        position: Position { segment: 1, offset: HEADER as u64 },
        dirty: false,
        torn: false,
        failed: Arc::default(),
        synced: watch::channel(Position::default()).0,
    };
    let frame = |k| segment_of([&entry(k)])[HEADER..].to_vec();
    writer.write(&frame(1)).unwrap();
    let before = writer.position;
    writer.file = File::open(&path).unwrap();
    assert!(writer.write(&frame(2)).is_err());
    assert_eq!(writer.position, before);
    assert!(writer.failed.lock().unwrap().as_ref().unwrap().contains("make room"));
    // The disk took half of it before it was full.
    append().write_all(&frame(2)[..9]).unwrap();
    writer.file = append();
    writer.write(&frame(3)).unwrap();
    assert_eq!(*writer.failed.lock().unwrap(), None, "it goes on without a restart");
    assert_eq!(entries(folder.path()), [entry(1), entry(3)]);
}

#[test]
fn what_is_written_comes_after_what_is_remembered_also_where_files_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: 200, ..Settings::default() };
    write(folder.path(), &[entry(1), entry(2), entry(3), entry(4)], small);
    let (_, used) = read_from(folder.path(), Position::default()).unwrap().pop().unwrap();
    let files = segments::list(folder.path()).unwrap();
    // The last one is cut, as by a power failure; then it is gone; then all are.
    let last = files.last().unwrap();
    std::fs::write(&last.path, &std::fs::read(&last.path).unwrap()[..20]).unwrap();
    let gone: [&dyn Fn(); 3] = [
        &|| {},
        &|| segments::list(folder.path()).unwrap().pop().map(|s| std::fs::remove_file(s.path).unwrap()).unwrap(),
        &|| segments::list(folder.path()).unwrap().iter().for_each(|s| std::fs::remove_file(&s.path).unwrap()),
    ];
    for (k, damage) in (10..).zip(gone) {
        damage();
        let spool = Spool::open_after(folder.path(), small, used).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let position = runtime.block_on(spool.append(&[entry(k)])).unwrap();
        drop(spool);
        assert!(position > used, "{position:?} is before {used:?}");
        let after = read_from(folder.path(), used).unwrap();
        assert_eq!(after.last().unwrap().0, entry(k));
    }
}
