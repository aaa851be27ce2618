//! Who may see the desk and change something there.

use super::*;

#[tokio::test]
async fn only_admins_see_the_desk_or_change_anything_there() {
    let gateway = gateway();
    let user = gateway.user("ada@example.org").await;
    let written = gateway.world.written();
    let one = format!("{DEAD}/order.commands:2:17");
    for path in [DEAD, &one, PARKED, RECORDS, ACTIONS, STREAM] {
        assert_problem(&gateway.get(path, Some(&user)).await, 403, "forbidden");
        assert_problem(&gateway.get(path, None).await, 401, "unauthorized");
    }
    for path in [RETRY, DROP, EDIT, RETRY_ALL, DROP_ALL, REVEAL, RESEND] {
        let denied = gateway.command("POST", path, Some(&user), key_and_reason()).await;
        assert_problem(&denied, 403, "forbidden");
        let unknown = gateway.command("POST", path, None, key_and_reason()).await;
        assert_problem(&unknown, 401, "unauthorized");
    }
    assert_eq!(gateway.world.written(), written);
}

#[tokio::test]
async fn what_an_operator_changes_needs_the_password_of_the_last_five_minutes() {
    let mut desk = Desk::open();
    desk.bury();
    desk.park(1);
    let now = jsonwebtoken::get_current_timestamp();
    let changes = [
        (RETRY, key_and_reason()),
        (DROP, key_and_reason()),
        (EDIT, edit()),
        (RETRY_ALL, of_one_error()),
        (DROP_ALL, of_one_error()),
        (REVEAL, letter_and_reason("why")),
        (RESEND, letter_and_reason("why")),
    ];
    // A token of an earlier version of the gateway does not tell when the password was given.
    for old in [Some(now - 301), None] {
        desk.admin = desk.gateway.admin_of(old);
        for (path, body) in changes.clone() {
            let refused = desk.post(path, body).await;
            assert_problem(&refused, 401, "insufficient_user_authentication");
            let challenge = header(&refused, "www-authenticate");
            assert!(challenge.contains(r#"error="insufficient_user_authentication""#), "{path}");
            assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
            assert_eq!(json(&refused)["max_age"], 300);
        }
        // What changes nothing needs none.
        for path in [RETRY_ALL, DROP_ALL] {
            let dry = desk.post(&format!("{path}?dry_run=true"), of_one_error()).await;
            assert_eq!(dry.status(), 200);
        }
        assert_eq!(desk.get(PARKED).await.status(), 200);
    }
    assert_eq!(desk.world().written(), 0);
    desk.admin = desk.gateway.admin_of(Some(now - 200));
    for (path, body) in changes {
        let done = desk.post(path, body).await;
        assert_eq!(done.status(), 200, "{path}: {:?}", done.body());
    }
}
