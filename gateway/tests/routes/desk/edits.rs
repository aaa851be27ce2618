//! The command that applies the first record of a parked key with another value.

use schemas::engine::EditParkedRecord;

use super::*;

#[tokio::test]
async fn edit_is_a_command_with_the_value_as_json() {
    let desk = Desk::open();

    let response = desk.post(EDIT, edit()).await;

    assert_eq!((response.status().as_u16(), &json(&response)["state"]), (200, &json!("accepted")));
    let record = desk.world().last();
    assert_eq!(
        (&*record.command.topic().expect("a topic"), &*record.key),
        ("order.commands", "tea")
    );
    let Command::Engine(engine::Command::EditParkedRecord(command)) = record.command else {
        panic!("{:?}", record.command);
    };
    let EditParkedRecord { topic, offset, record_type, json: value, reason } = command;
    assert_eq!((&*topic, offset), ("stock.followups", 5));
    assert_eq!((&*record_type, &*reason), ("millrace.stock.ReserveStock", "a typing error"));
    assert_eq!(serde_json::from_str::<Value>(&value).unwrap(), edit()["value"]);
    for (code, status) in [("still_failing", 409), ("invalid", 422)] {
        desk.world().answers(Answer::Refuse(code));
        desk.refuses(EDIT, edit(), status, code).await;
    }
}

/// An edit in which one value is another one.
fn edit_with(pointer: &str, value: Value) -> Value {
    let mut body = edit();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

/// An edit without a reason.
fn unreasoned() -> Value {
    let mut body = edit();
    body.as_object_mut().unwrap().remove("reason");
    body
}

#[tokio::test]
async fn edit_that_does_not_fit_names_the_field_and_writes_nothing() {
    let desk = Desk::open();
    let invalid = (422, "invalid");
    let malformed = (400, "invalid_request");
    let types = "expected one of millrace.stock.ReleaseStock, millrace.stock.ReserveStock";
    for (refusal, pointer, value, field, expected) in [
        (invalid, "/value/quantity", json!(0), "value.quantity", "expected 1 to 1000000"),
        (invalid, "/value/quantity", json!("2"), "value.quantity", "a whole number of 32 bits"),
        (invalid, "/value/sku", json!("a b"), "value.sku", "expected 1 to 64 of"),
        (invalid, "/value", json!({ "sku": "tea" }), "value.order_id", "it is missing"),
        (invalid, "/value", json!([]), "value", "an object"),
        (invalid, "/type", json!("millrace.stock.StockReserved"), "type", types),
        (invalid, "/type", json!("millrace.engine.Redrive"), "type", "expected one of"),
        (malformed, "/topic", json!("nothing"), "topic", "expected a topic that a processor reads"),
        (malformed, "/reason", json!(" "), "reason", "expected 1 to 500 characters"),
    ] {
        let (status, code) = refusal;
        let problem = desk.refuses(EDIT, edit_with(pointer, value), status, code).await;
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    desk.refuses(EDIT, unreasoned(), 422, "reason_missing").await;
    assert_eq!(desk.world().written(), 0);
}

#[tokio::test]
async fn dry_run_of_an_edit_shows_the_value_before_and_after_and_writes_nothing() {
    let desk = Desk::open();
    let dry = format!("{EDIT}?dry_run=true");
    let mut body = unreasoned();
    desk.refuses(&dry, body.clone(), 409, "nothing_parked").await;
    let before = json!({ "sku": "tea", "quantity": 0 });
    {
        let mut inner = desk.world().inner();
        inner.desk.parked = vec![parked("tea")];
        inner.desk.records = vec![record(5, Some("broken"), before.clone())];
    }

    let response = desk.post(&dry, body.clone()).await;

    let expected = json!({
        "dry_run": true, "type": "millrace.stock.ReserveStock", "offset": 5, "before": before,
        "after": edit()["value"],
    });
    assert_eq!((response.status().as_u16(), json(&response)), (200, expected));
    body["offset"] = json!(6);
    desk.refuses(&dry, body.clone(), 409, "other_record_first").await;
    body["value"]["quantity"] = json!(0);
    desk.refuses(&dry, body, 422, "invalid").await;
    assert_eq!(desk.world().written(), 0);
}
