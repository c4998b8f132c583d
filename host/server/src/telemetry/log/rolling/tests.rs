use std::collections::BTreeMap;

use super::*;
use crate::telemetry::LogFile;

/// Each file's text, by its name.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("an entry"));
    files
        .map(|file| {
            let text = fs::read_to_string(file.path()).expect("text");
            (file.file_name().into_string().expect("text"), text)
        })
        .collect()
}

fn log(folder: &Path, file_bytes_max: u64, files_max: usize) -> Rolling {
    Rolling::open(folder, "stockade.log", file_bytes_max, files_max).expect("a file")
}

#[test]
fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = log(folder.path(), 100, 3);
    let lines: Vec<_> = (0..50).map(|n| format!("line {n:04}\n")).collect();
    let before = today();
    for line in &lines {
        written.write_all(line.as_bytes()).expect("written");
    }
    let texts = texts(folder.path());
    if before != today() {
        return; // Over midnight it is the other test's.
    }
    let names: Vec<_> = texts.keys().cloned().collect();
    assert_eq!(names, [2, 3, 4].map(|n| format!("stockade.log.{before}.{n}")), "ten lines each, three of five files");
    assert_eq!(texts.into_values().collect::<String>(), lines[20..].concat(), "no line is lost, torn or moved");
}

#[test]
fn it_goes_on_where_it_was_and_counts_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    for line in ["012345678\n", "012345678\n", "012345678\n"] {
        log(folder.path(), 25, 9).write_all(line.as_bytes()).expect("written");
    }
    let lengths: Vec<_> = texts(folder.path()).into_values().map(|text| text.len()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 30);
    assert!(lengths.iter().all(|length| *length <= 25), "{lengths:?}");
}

#[test]
fn a_line_that_is_longer_than_a_file_has_one_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = log(folder.path(), 10, 9);
    let lines = [("a", 5), ("b", 50), ("c", 5)].map(|(letter, times)| format!("{}\n", letter.repeat(times)));
    lines.iter().for_each(|line| written.write_all(line.as_bytes()).expect("written"));
    assert_eq!(texts(folder.path()).into_values().collect::<Vec<_>>(), lines);
}

#[test]
fn a_new_day_is_a_new_file_and_an_old_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = log(folder.path(), 100, 9);
    let day = |text: &str| text.parse::<Date>().expect("a day");
    written.part = Part { day: day("2026-03-01"), number: 7 };
    assert_eq!(written.next(90, 10, day("2026-03-01")), None);
    assert_eq!(written.next(90, 11, day("2026-03-01")), Some(Part { day: day("2026-03-01"), number: 8 }));
    assert_eq!(written.next(90, 1, day("2026-03-02")), Some(Part { day: day("2026-03-02"), number: 0 }));
    assert_eq!(written.next(90, 1, day("2026-02-28")), None);
}

#[test]
fn so_many_files_are_kept_and_those_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = ["2026-01-01", "2026-01-02", "2026-01-02.2", "2026-01-02.10"].map(|day| format!("stockade.log.{day}"));
    let others = ["stockade.log", "stockade.log.gz", "stockade.log.2026-01-01.gz", "stockade.logs.2026-01-01"];
    for name in ours.iter().map(String::as_str).chain(others) {
        fs::write(folder.path().join(name), "old").expect("a file");
    }
    let file = LogFile::open(&folder.path().join("stockade.log"), 4_096, 3).expect("a file");
    std::io::Write::write_all(&mut file.writer(), b"a line\n").expect("written");
    drop(file);
    let texts = texts(folder.path());
    assert!(others.iter().all(|name| texts.contains_key(*name)), "{texts:?}");
    let kept: Vec<_> = texts.iter().filter(|(name, _)| !others.contains(&name.as_str())).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.iter().any(|(_, text)| *text == "a line\n"), "{kept:?}");
    assert!(
        texts.contains_key(&ours[2]) && texts.contains_key(&ours[3]),
        "the tenth is younger than the second: {kept:?}"
    );
}
