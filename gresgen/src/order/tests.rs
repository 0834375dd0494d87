use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const GPU: &str = "GPU-5c3f0a1e-0000-4000-8000-000000000001";

fn place(profile: &str, start: u8) -> Value {
    json!({"profile": profile, "start": start})
}

fn order() -> Value {
    json!({"cut": {
        "gpus": [{"gpu": GPU, "destroy": [place("1g.5gb", 0), place("1g.5gb", 1)], "create": [place("2g.10gb", 0)]}],
        "job": "17_3",
    }})
}

fn refused(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn an_order_says_what_goes_and_what_comes() {
    assert_eq!(read(b" {\"look\": {}}\n").unwrap(), Request::Look(Look {}));
    let Request::Cut(cut) = read(order().to_string().as_bytes()).unwrap() else { panic!("a cut") };
    let places = |list: &[Placement]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let change = &cut.gpus[0];
    assert_eq!((change.gpu.as_str(), cut.job.as_ref().unwrap().as_str()), (GPU, "17_3"));
    assert_eq!(places(&change.destroy), ["1g.5gb at 0", "1g.5gb at 1"]);
    assert_eq!(places(&change.create), ["2g.10gb at 0"]);
    assert_eq!(read(br#"{"cut": {"gpus": []}}"#).unwrap(), Request::Cut(Cut { gpus: vec![], job: None }));
}

#[test]
fn what_is_no_order_is_refused() {
    for (text, due) in [
        ("", "EOF"),
        ("[]", "expected"),
        ("{}", "expected"),
        ("null", "expected"),
        ("\"look\"", "expected"),
        (r#"{"look": null}"#, "expected"),
        (r#"{"look": {"root": "/"}}"#, "unknown field"),
        (r#"{"apply": {}}"#, "unknown variant"),
        (r#"{"look": {}, "cut": {"gpus": []}}"#, "look and cut stand in it together"),
        (r#"{"look": {}} {"look": {}}"#, "trailing characters"),
        (r#"{"cut": {}}"#, "missing field `gpus`"),
        (r#"{"cut": {"gpus": [], "gpus": []}}"#, "duplicate field"),
        (r#"{"cut": {"gpus": [], "layout": "x"}}"#, "unknown field"),
        (r#"{"cut": {"gpus": {}}}"#, "expected a sequence"),
    ] {
        assert!(refused(text).contains(due), "{text}: {}", refused(text));
    }
    assert!(read(b"{\"look\": {}}\xff").is_err());
    assert!(read(format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).as_bytes()).is_err());
}

/// Replaces what stands at a place of the order.
fn with(place: &str, value: Value) -> String {
    let mut order = order();
    *order.pointer_mut(place).unwrap() = value;
    refused(&order.to_string())
}

#[test]
fn no_value_is_taken_loosely() {
    let job = "/cut/job";
    for wrong in
        ["", "x", "17;id", "17_", "_3", "17_3_4", "17 ", "-1", "+1", "4294967296", "٣", "17\n", "00000000001"]
    {
        assert!(with(job, json!(wrong)).contains("job is not the number of a job"), "{wrong:?}");
    }
    assert!(with(job, json!(17)).contains("expected a string"));
    let gpu = "/cut/gpus/0/gpu";
    let long = format!("GPU-{}", "0".repeat(200));
    for wrong in ["", "0", "all", "GPU-", "GPU-../../x", "GPU-a,GPU-b", "GPU-\u{1b}[2J", "MIG-1", &long] {
        assert!(with(gpu, json!(wrong)).contains("gpu is not the UUID of a GPU"), "{wrong:?}");
    }
    let start = "/cut/gpus/0/create/0/start";
    for wrong in [json!(-1), json!(256), json!(4_294_967_296_u64), json!(1.0), json!("0"), json!(null)] {
        assert!(with(start, wrong.clone()).contains("invalid"), "{wrong}");
    }
    assert!(!with("/cut/gpus/0/create/0/profile", json!("1g")).is_empty());
    assert!(with("/cut/gpus/0/create/0", json!({"profile": "1g.5gb"})).contains("missing field"));
    let more = json!({"profile": "1g.5gb", "start": 0, "gi": 7});
    assert!(with("/cut/gpus/0/destroy/0", more).contains("unknown field `gi`"));
}

#[test]
fn nothing_is_named_twice() {
    let twice = |place: &str, value: Value| {
        let message = with(place, value);
        assert!(message.ends_with("stands in it twice"), "{message}");
    };
    twice("/cut/gpus/0/create", json!([place("2g.10gb", 0), place("2g.10gb", 0)]));
    twice("/cut/gpus/0/create", json!([place("1g.5gb", 1)]));
    let gates = |lists: Value| {
        let mut order = order();
        let change = order.pointer_mut("/cut/gpus/0").unwrap().as_object_mut().unwrap();
        change.extend(lists.as_object().unwrap().clone());
        read(order.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    let (stays, comes, goes) = (place("3g.20gb", 4), place("2g.10gb", 0), place("1g.5gb", 1));
    for wrong in [
        json!({"close": [&stays, &stays]}),
        json!({"open": [&stays, &stays]}),
        json!({"close": [&stays], "open": [&stays]}),
        json!({"close": [&goes]}),
        json!({"open": [&goes]}),
    ] {
        assert!(gates(wrong.clone()).unwrap_err().ends_with("stands in it twice"), "{wrong}");
    }
    let Request::Cut(cut) = gates(json!({"close": [&comes], "open": [&stays]})).unwrap() else {
        panic!("a cut")
    };
    assert_eq!((cut.gpus[0].close.len(), cut.gpus[0].open[0].to_string().as_str()), (1, "3g.20gb at 4"));
    gates(json!({"close": [&stays], "open": [&comes]})).unwrap();
    let change = |gpu: &str| json!({"gpu": gpu});
    twice(
        "/cut/gpus",
        json!([change(GPU), change(&GPU.replace("GPU-", "").to_uppercase().replacen("", "GPU-", 1))]),
    );
}

#[test]
fn more_than_one_order_is_refused_by_its_keys() {
    for (text, says) in [
        (r#"{"look": {}, "look": {}}"#, "order: look stands in it twice"),
        (r#"{"cut": {"gpus": []}, "look": {}, "cut": {"gpus": []}}"#, "order: cut stands in it twice"),
        (
            r#"{"look": {}, "cut": {"gpus": []}}"#,
            "order: look and cut stand in it together, and an order has one of look and cut",
        ),
        (r#"{"cut": {"gpus": []}, "job": "17"}"#, "order: cut and job stand in it together"),
    ] {
        let said = refused(text);
        assert!(said.starts_with(says), "{text}: {said}");
    }
    for text in [r#"{"look": {}} {"look": {}}"#, r#"{"look": {}, "#, "{}", "[]", r#"{"apply": {}}"#] {
        let said = refused(text);
        assert!(!said.contains("stand"), "{text}: {said}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_nothing_breaks(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    /// A change of one byte makes an order another one or none.
    #[test]
    fn a_byte_that_is_another_breaks_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = order().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(Request::Cut(cut)) = read(&text) {
            for change in &cut.gpus {
                prop_assert!(change.gpu.as_str().bytes().all(|b| b.is_ascii_graphic()));
            }
            let job = cut.job.as_ref().map_or("", JobId::as_str);
            prop_assert!(job.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b'+'));
        }
    }
}
