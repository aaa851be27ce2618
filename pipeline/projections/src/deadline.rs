//! Deadlines of calls to stores. A server that has vanished, or a connection that swallows what is
//! sent, is otherwise waited for as long as TCP repeats itself: a quarter of an hour.

use std::time::Duration;

use crate::StoreError;

/// How long a claim, a batch or a migration may take altogether.
pub(crate) const WRITE_MAX: Duration = Duration::from_secs(20);
/// How long a read may take altogether.
pub(crate) const READ_MAX: Duration = Duration::from_secs(5);

/// Ends `work` with an error when it has not ended by itself within `at_most`.
pub(crate) async fn within<T>(
    at_most: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late =
        |_| StoreError::Failed { doing, why: format!("no answer within {} s", at_most.as_secs()) };
    tokio::time::timeout(at_most, work).await.map_err(late)?
}
