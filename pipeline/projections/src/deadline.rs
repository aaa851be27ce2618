//! Deadlines of calls to stores. Without one, a call to a server that has vanished waits until TCP
//! gives up, which takes a quarter of an hour.

use std::time::Duration;

use crate::StoreError;

/// The deadline of a claim or a batch as a whole.
pub(crate) const WRITE_MAX: Duration = Duration::from_secs(20);
/// The deadline of a read as a whole.
pub(crate) const READ_MAX: Duration = Duration::from_secs(5);

/// Runs `work`, and returns an error if it has not ended within `at_most`.
pub(crate) async fn within<T>(
    at_most: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::failed(doing, format!("no answer within {} s", at_most.as_secs()));
    tokio::time::timeout(at_most, work).await.map_err(late)?
}
