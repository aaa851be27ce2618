//! Name, password and deactivation.

use super::*;

#[test]
fn command_for_a_user_that_is_not_active_is_not_found() {
    let mut gone = ann();
    gone.command(deactivate());
    for mut user in [Aggregate::<User>::new(ANN), registering(), gone] {
        let commands: [Command; 8] = [
            change_name("Anna").into(),
            change_email().into(),
            change_password(1).into(),
            deactivate().into(),
            RehashPassword { user_id: ANN, password_hash: "h2".into(), credential_version: 1 }
                .into(),
            EndSession { user_id: ANN, session_id: ANN }.into(),
            StartSession {
                user_id: ANN,
                session_id: ANN,
                refresh_hash: "r0".into(),
                credential_version: 1,
                expires_at: i64::MAX,
            }
            .into(),
            RefreshSession {
                user_id: ANN,
                session_id: ANN,
                generation: 0,
                presented_hash: "r0".into(),
                successor_hash: "r1".into(),
            }
            .into(),
        ];
        for command in commands {
            assert_eq!(user.command(command).refused(), refusals::NOT_FOUND);
        }
    }
}

#[test]
fn command_under_another_key_is_refused() {
    let other = DeactivateUser { user_id: Uuid::from_u128(2), ..deactivate() };
    assert_eq!(ann().command(other).refused(), refusals::INVALID, "not the record's key");
}

#[test]
fn name_changes_only_at_the_expected_version() {
    let mut user = ann();
    let then = user.command(change_name("Anna"));
    assert_eq!(then.events, [Event::from(NameChanged { user_id: ANN, name: "Anna".into() })]);
    assert_eq!(active(&user).name, "Anna");
    user.command(change_name("Anna")).nothing();
    assert_eq!(user.command(change_name("")).refused(), refusals::INVALID);

    let seen = |expected| ChangeName { expected_version: Some(expected), ..change_name("Annie") };
    assert_eq!(user.version, 3);
    assert_eq!(user.command(seen(2)).refused(), refusals::VERSION_MISMATCH);
    assert_eq!(user.command(seen(3)).status, CommandStatus::Accepted);
}

#[test]
fn new_password_needs_the_verified_credential_version() {
    let mut user = ann();
    let then = user.command(change_password(1));
    assert_eq!(then.events, [Event::from(PasswordChanged { user_id: ANN, credential_version: 2 })]);
    assert_eq!(then.messages(), [credential("h2", 2)]);
    assert_eq!(user.command(change_password(1)).refused(), refusals::STALE_CREDENTIAL);
}

#[test]
fn rehash_needs_the_verified_credential_version() {
    let mut user = ann();
    let rehash =
        || RehashPassword { user_id: ANN, password_hash: "h2".into(), credential_version: 1 };
    let then = user.command(rehash());
    assert_eq!(
        then.events,
        [Event::from(PasswordRehashed { user_id: ANN, credential_version: 2 })]
    );
    assert_eq!(then.messages(), [credential("h2", 2)]);
    let again = user.command(rehash());
    assert_eq!((again.events.len(), again.sent.len()), (0, 0));
}

#[test]
fn deactivation_releases_the_address_and_the_credential() {
    let mut user = ann();
    let then = user.command(deactivate());
    assert_eq!(then.messages(), [releases("f1", 2)]);
    assert!(forgets_credential(&then));
    let Some(State::Deactivated(_)) = user.state else { panic!("{:?}", user.state) };
    assert!(!format!("{:?}", user.state).contains("ann@"), "nothing personal is kept");

    let stale = DeactivateUser { credential_version: 2, ..deactivate() };
    assert_eq!(ann().command(stale).refused(), refusals::STALE_CREDENTIAL);
}
