//! The dialogs of the desk, when the answer to a command is late, is lost, or is no outcome yet.

use super::{admin_password, desk, enter, fill, give_up, shows};
use crate::browser::Page;
use crate::log::write;
use crate::support::{SEEN_MAX, System, aged, any, eventually, must, system};

/// The first byte of what these tests park.
const FIRST_BYTE: u8 = b'd';
const DROP: &str = "/v1/operations/parked:drop";
const RETRY: &str = "/v1/operations/parked:retry";

/// Parks a record, and returns its key.
async fn park(page: &Page) -> String {
    let key = format!("dialog-{}", any());
    write("stock.followups", Some(&key), b"dialog").await;
    shows(page, "#parked", &key, true).await;
    key
}

/// Presses a button of a parked key.
async fn press(page: &Page, button: &str, key: &str) {
    page.click(&format!("#parked [aria-label='{button}: stock.followups, key {key}']")).await;
}

/// Opens the dialog of a key, and answers it with a reason.
async fn ask(page: &Page, button: &str, key: &str, reason: &str) {
    press(page, button, key).await;
    fill(page, "reason", reason).await;
    page.click("#confirm").await;
}

/// Checks that the dialog about this key is open.
async fn is_about(page: &Page, title: &str, key: &str) {
    let expected = format!("{title}: stock.followups, key {key}");
    assert_eq!(expected, page.text("#ask-title").await.expect("a title"));
}

async fn repeat_under_one_key(system: &System, page: &Page) {
    // Given an admin who gives up a record
    enter(page).await;
    let key = park(page).await;
    let answer = page.hold("POST", DROP).await;
    let reason = format!("reason {key}");
    ask(page, "Give up first", &key, &reason).await;

    // When there is no answer yet, then the dialog stays open; also when it was lost
    answer.here().await;
    page.says("#ask-say", "Sending the command").await;
    answer.lose().await;
    page.says("#ask-say", "The server can't be reached.").await;

    // When the admin presses the button again, and there is no outcome yet, then it stays open too
    let answer = page.hold("POST", DROP).await;
    page.click("#confirm").await;
    answer.replace(202, "{}").await;
    page.says("#ask-say", "Press the same button again").await;
    page.click("#confirm").await;
    page.says("#say", "The record is a dead letter").await;

    // Then it was one command, under one idempotency key
    let asked = page.asked("POST", DROP).await;
    let keys: Vec<_> = asked.iter().map(|headers| &headers["Idempotency-Key"]).collect();
    assert_eq!(vec![keys[0]; 3], keys);
    assert!(keys[0].is_string(), "{asked:?}");
    shows(page, "#parked", &key, false).await;
    shows(page, "#actions", &reason, true).await;
    let actions = page.text("#actions").await.expect("the actions");
    assert_eq!(1, actions.matches(&reason).count(), "{actions}");
    give_up(&system.admin().await, FIRST_BYTE).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn command_whose_answer_was_lost_is_repeated_under_its_key_at_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| repeat_under_one_key(&system, page).await).await;
}

async fn answer_late(system: &System, page: &Page) {
    // Given two parked keys
    enter(page).await;
    let (first, second) = (park(page).await, park(page).await);

    // When what a dialog of the first needs is late, and the admin has opened one of the second,
    // then that one stays
    for (button, method, path) in [
        ("All with this error", "POST", "/v1/operations/parked:retry-all"),
        ("Edit first", "GET", "/v1/operations/parked/records"),
    ] {
        let late = page.hold(method, path).await;
        press(page, button, &first).await;
        late.here().await;
        press(page, "Give up first", &second).await;
        late.release().await;
        is_about(page, "Give up first", &second).await;
        page.click("#cancel").await;
    }

    // When the outcome for the first is late, then it is shown beside the dialog of the second,
    // which stays open
    let late = page.hold("POST", RETRY).await;
    ask(page, "Try again", &first, "to no avail").await;
    late.here().await;
    page.click("#cancel").await;
    press(page, "Give up first", &second).await;
    late.release().await;
    is_about(page, "Give up first", &second).await;
    assert_eq!("", page.text("#ask-say").await.expect("what it says"));
    page.click("#cancel").await;
    page.says("#say", "still fails").await;
    let late = page.hold("POST", DROP).await;
    ask(page, "Give up first", &first, "nobody can read it").await;
    late.here().await;
    page.click("#cancel").await;
    press(page, "Try again", &second).await;
    late.release().await;
    is_about(page, "Try again", &second).await;
    page.click("#cancel").await;
    page.says("#say", "The record is a dead letter").await;
    give_up(&system.admin().await, FIRST_BYTE).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn late_answer_changes_no_other_dialog_of_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| answer_late(&system, page).await).await;
}

/// Logs in as an admin whose log-in was ten minutes ago, and who is asked for the password before a
/// key is given up. Returns the key, and the access token.
async fn is_asked(page: &Page) -> (String, String) {
    enter(page).await;
    let key = park(page).await;
    let token = page.run("return accessToken", vec![]).await;
    let old = aged(token.as_str().expect("a text"));
    page.run("accessToken = arguments[0]", vec![old.clone().into()]).await;
    ask(page, "Give up first", &key, "nobody can read it").await;
    page.says("#step-up-title", "Your password, please").await;
    (key, old)
}

async fn refuse_late(system: &System, page: &Page) {
    // Given an admin whose log-in was ten minutes ago, and who mistypes the password
    let (key, _) = is_asked(page).await;
    let late = page.hold("POST", "/v1/sessions").await;
    page.fill("#step-up [name=password]", "another password").await;
    page.click("#step-up-confirm").await;
    late.here().await;

    // When the admin cancels, and is asked for the password again before it is refused
    page.click("#step-up-cancel").await;
    page.says("#say", "Nothing was done").await;
    ask(page, "Give up first", &key, "nobody can read it").await;
    page.says("#step-up-title", "Your password, please").await;
    late.release().await;

    // Then the dialog does not say that this one was wrong, and takes the right one
    assert_eq!("", page.text("#step-up-say").await.expect("what it says"));
    page.fill("#step-up [name=password]", &admin_password()).await;
    page.click("#step-up-confirm").await;
    page.says("#say", "The record is a dead letter").await;
    eventually("the key is gone", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(!parked.contains(&key), parked)
    })
    .await;
    give_up(&system.admin().await, FIRST_BYTE).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn late_refusal_of_a_password_is_not_shown_for_the_next_one() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| refuse_late(&system, page).await).await;
}

async fn accept_late(system: &System, page: &Page) {
    // Given such an admin, who cancels before the right password is answered
    let (_, old) = is_asked(page).await;
    let late = page.hold("POST", "/v1/sessions").await;
    page.fill("#step-up [name=password]", &admin_password()).await;
    page.click("#step-up-confirm").await;
    late.here().await;
    page.click("#step-up-cancel").await;
    page.says("#say", "Nothing was done").await;

    // When the answer arrives, then the session that nobody needs is ended, and the old one stays
    late.release().await;
    let ended = eventually("a session is ended", SEEN_MAX, async || {
        let ended = page.asked("DELETE", "/v1/sessions/current").await;
        must(ended.len() == 1, &ended)?;
        Ok(ended[0]["Authorization"].clone())
    })
    .await;
    assert!(ended.is_string() && ended != format!("Bearer {old}"), "{ended}");
    assert_eq!(old, page.run("return accessToken", vec![]).await);
    give_up(&system.admin().await, FIRST_BYTE).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn session_of_a_log_in_that_was_cancelled_at_the_desk_is_ended() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| accept_late(&system, page).await).await;
}
