//! Starts, stops and repairs parts, and notices those that have ended by themselves.

use std::sync::PoisonError;

use anyhow::bail;
use integration::stack::{ControlError, PartStatus};

use super::{
    PART_MAX, World,
    ends::{ExpectedEnds, is_program},
};
use crate::ledger::{Damage, Violation};

impl World {
    /// Starts a part with `extra` in its environment, and waits until it is ready.
    pub async fn start(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.spawn(name, extra).await?;
        self.ready(name).await
    }

    /// Waits until a part is ready. H: a program must be ready in time; the suite goes on then, and
    /// judges the system without it.
    ///
    /// # Errors
    /// When a server, or any part in a control, is not ready in time: a [`super::Stalled`] for a
    /// program.
    pub async fn ready(&self, name: &str) -> anyhow::Result<()> {
        let Err(error) = self.control.wait(name, PART_MAX).await else { return Ok(()) };
        let Some(what) = unready(name, &error) else { return Err(error.into()) };
        if self.mutant.is_some() {
            return Err(self.stalled(name, what).await.into());
        }
        self.report('H', Damage::Late, format!("{name} {what}"));
        Ok(())
    }

    /// Starts a part and does not wait: it may die before it is ready.
    pub async fn spawn(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut extra = extra.to_vec();
        extra.extend(self.mutant.map(|mutant| ("MILLRACE_MUTANT", mutant)));
        self.control.start_with(name, &extra).await?;
        self.ends().started(name, &extra);
        Ok(())
    }

    /// Kills a part, if it runs.
    pub async fn kill(&self, name: &str) -> anyhow::Result<()> {
        let part = self.control.part(name).await?;
        self.notice_end(&part);
        self.ends().expect(name);
        if part.pid.is_some() {
            self.control.kill(name).await?;
        }
        Ok(())
    }

    /// Pauses a part: all its processes by SIGSTOP, or its container.
    ///
    /// # Errors
    /// When one of its processes still runs.
    pub async fn pause(&self, name: &str) -> anyhow::Result<()> {
        self.control.signal(name, "STOP").await?;
        self.still_paused(name).await
    }

    /// Continues a part that was paused.
    ///
    /// # Errors
    /// When one of its processes was not paused any more: the fault did not happen then.
    pub async fn unpause(&self, name: &str) -> anyhow::Result<()> {
        let paused = self.still_paused(name).await;
        self.control.signal(name, "CONT").await?;
        paused
    }

    async fn still_paused(&self, name: &str) -> anyhow::Result<()> {
        if !self.control.halted(name).await? {
            bail!("not all processes of {name} are paused: the fault did not happen");
        }
        Ok(())
    }

    /// Stops a part in order, if it runs.
    pub async fn stop(&self, name: &str) -> anyhow::Result<()> {
        let part = self.control.part(name).await?;
        self.notice_end(&part);
        self.ends().expect(name);
        Ok(self.control.stop(name).await?)
    }

    /// Says that a part may end by itself until its next start.
    pub fn may_end(&self, name: &str) {
        self.ends().expect(name);
    }

    /// Reports every program that has ended by itself since it was started.
    pub async fn notice_ends(&self) -> anyhow::Result<()> {
        for part in self.control.status().await? {
            self.notice_end(&part);
        }
        Ok(())
    }

    /// H: reports a program that has ended by itself, once for each end. In a control it may, and
    /// must be caught by what it does to the data.
    fn notice_end(&self, part: &PartStatus) {
        let unexpected = self.ends().take_unexpected(part).filter(|_| self.mutant.is_none());
        if let Some(Violation { invariant, damage, what }) = unexpected {
            self.report(invariant, damage, what);
        }
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, ExpectedEnds> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a part, starts it with `extra` in its environment, and waits until it is ready.
    pub async fn restart(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.kill(name).await?;
        self.start(name, extra).await
    }

    /// Kills parts, starts them in parallel with `extra` in their environment, and waits until they
    /// are ready.
    pub async fn restart_all(
        &self,
        names: &[impl AsRef<str>],
        extra: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        for name in names.iter().map(AsRef::as_ref) {
            self.kill(name).await?;
            self.spawn(name, extra).await?;
        }
        for name in names.iter().map(AsRef::as_ref) {
            self.ready(name).await?;
        }
        Ok(())
    }

    /// Reports programs that have ended by themselves, starts dead parts, stops second instances,
    /// and continues parts that are stopped by a signal.
    pub async fn mend(&self) -> anyhow::Result<()> {
        for part in self.control.status().await? {
            self.notice_end(&part);
            if part.name.ends_with("-1") && !part.name.starts_with("gateway") {
                self.ends().expect(&part.name);
                self.control.stop(&part.name).await?;
            } else if part.pid.is_some() && (!self.system.containers || part.state == "paused") {
                self.control.signal(&part.name, "CONT").await?;
            } else if ["dead", "stopped"].contains(&part.state.as_str()) {
                self.spawn(&part.name, &[]).await?;
            }
        }
        for part in self.control.status().await?.iter().filter(|part| part.pid.is_some()) {
            self.ready(&part.name).await?;
        }
        // The next fault may need another broker.
        match &self.cluster {
            Some(cluster) if cluster.brokers() > 1 => cluster.in_sync(PART_MAX).await,
            _ => Ok(()),
        }
    }
}

/// What a program has not done in the time that the stack waits for its readiness, a violation of
/// H; `None` for a server, or if the stack does not answer.
fn unready(name: &str, error: &ControlError) -> Option<String> {
    let is_late = is_program(name) && matches!(error, ControlError::Refused { .. });
    is_late.then(|| format!("is not ready after {PART_MAX:?}: {}", schemas::chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_is_waited_for_in_vain() {
        let refused = ControlError::Refused {
            request: "wait order-0 60".to_owned(),
            reason: "order-0 was not ready within 60 s".to_owned(),
        };
        let found = unready("order-0", &refused).expect("a program");
        assert!(found.starts_with("is not ready after 60s: "), "{found}");
        assert_eq!(unready("postgres", &refused), None, "without it nothing can be judged");
        assert_eq!(unready("order-0", &ControlError::NoStack), None);
    }
}
