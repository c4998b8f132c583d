use super::*;

fn record() -> AuditRecord {
    let at = "2026-11-23T10:00:00Z".to_owned();
    AuditRecord::new(uuid::Uuid::nil(), at, AuditKind::Call, AuditDecision::Refused, "UNKNOWN_TOOL")
}

#[test]
fn what_comes_from_outside_is_bounded_and_stays_on_its_line() {
    let mut record = record();
    record.tool = Some(format!("a\0b\n{}", "x".repeat(10_000)));
    record.detail = Some("\u{85}".repeat(100_000));
    let line = record.line().unwrap();
    assert!(!line.as_str().contains(['\n', '\0']) && !line.as_str().contains("\\u0000"), "{}", line.as_str());
    let read: serde_json::Value = serde_json::from_str(line.as_str()).unwrap();
    assert_eq!(read["tool"].as_str().unwrap().chars().count(), NAME_CHARS_MAX);
    assert_eq!(read["detail"].as_str().unwrap().chars().count(), TEXT_CHARS_MAX);
    assert_eq!((&read["kind"], &read["decision"]), (&"call".into(), &"refused".into()));
    assert_eq!(read.get("arguments"), None, "what is not known is not there");
}

#[test]
fn a_fingerprint_is_the_keys_and_tells_nothing_of_it() {
    let (one, two) = (ContextKey::generate(), ContextKey::generate());
    let (one, two) = (AuditKey::of(&one).unwrap(), AuditKey::of(&two).unwrap());
    assert_eq!(one.fingerprint(b"{}"), one.fingerprint(b"{}"));
    assert_ne!(one.fingerprint(b"{}"), one.fingerprint(b"{} "));
    assert_ne!(one.fingerprint(b"{}").split_once(':').unwrap().1, two.fingerprint(b"{}").split_once(':').unwrap().1);
}
