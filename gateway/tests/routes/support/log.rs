//! The simulated log: what a write of a command returns, and when it is confirmed.

use futures_util::{FutureExt, future::BoxFuture};
use gateway::{
    commands::{CommandRecord, Commands, Confirmed, Unwritten},
    health::{Health, cause},
};

use super::world::{Answer, World};

impl Commands for World {
    fn write(
        &self,
        record: CommandRecord,
        confirmed: Confirmed,
    ) -> BoxFuture<'_, Result<(), Unwritten>> {
        async move {
            let answer = self.inner().answer.clone();
            if matches!(answer, Answer::Unwritten) {
                let topic = record.command.topic().expect("a topic");
                return Err(Unwritten { topic, source: cause("no broker") });
            }
            self.take(record);
            if matches!(answer, Answer::Unheard) {
                self.inner().unheard.push(confirmed);
                return std::future::pending().await;
            }
            confirmed();
            Ok(())
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async { Health::from([("broker", Ok(()))]) }.boxed()
    }
}
