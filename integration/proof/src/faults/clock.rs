//! A wrong wall clock, by a library that is loaded before libc. Chosen over libfaketime, whose
//! initialisation conflicts with mimalloc's, and which does not change the wait that librdkafka
//! uses.

use std::{path::Path, process::Command, time::SystemTime};

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;

use crate::world::World;

/// How far the clock is moved, ahead and behind, in seconds.
const SHIFT_S: i64 = 3600;
/// How much less or more a service may see, in seconds.
const TOLERANCE_S: i64 = 60;

/// Every function that returns the time of day, and the waits whose deadlines are given in it. The
/// monotonic clock is unchanged, as it is when a real clock is wrong.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long shift;

__attribute__((constructor)) static void begin(void) {
    const char *seconds = getenv("CLOCK_SHIFT_S");
    shift = seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift;
    return failed;
}

int timespec_get(struct timespec *now, int base) {
    return clock_gettime(CLOCK_REALTIME, now) ? 0 : base;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += shift;
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict end) {
    struct timespec real = { end->tv_sec - shift, end->tv_nsec };
    return pthread_cond_clockwait(c, m, CLOCK_REALTIME, &real);
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict end) {
    int failed = pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, end);
    return failed == 0 ? thrd_success : failed == ETIMEDOUT ? thrd_timedout : thrd_error;
}
"#;

pub(super) async fn clock_off(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let library = std::path::absolute(build(&world.out)?)?;
    let library = library.to_str().context("the folder's name is not UTF-8")?;
    let shifted = decide_while_shifted(world, library).await;
    world.restart("order-0", &[]).await?;
    shifted
}

/// Lets order-0 work with a clock that is ahead, and then with one that is behind.
async fn decide_while_shifted(world: &World, library: &str) -> anyhow::Result<()> {
    for shift in [SHIFT_S, -SHIFT_S] {
        let shift_s = shift.to_string();
        let clock = [("LD_PRELOAD", library), ("CLOCK_SHIFT_S", &shift_s)];
        world.restart("order-0", &clock).await?;
        let seen = world.time_of("order-0").await.context("order-0 does not answer")?;
        let off_s = ahead_s(seen, SystemTime::now());
        ensure!(
            (off_s - shift).abs() < TOLERANCE_S,
            "the clock of order-0 was to be {shift} s off and is {off_s}: the fault did not happen"
        );
        world.wait_for_commands(200).await?;
    }
    Ok(())
}

/// How far the time `seen` is ahead of `now`, in whole seconds; negative if it is behind.
fn ahead_s(seen: SystemTime, now: SystemTime) -> i64 {
    let seconds = |from: SystemTime, to: SystemTime| {
        to.duration_since(from).ok().and_then(|by| i64::try_from(by.as_secs()).ok())
    };
    seconds(now, seen).or_else(|| seconds(seen, now).map(|behind| -behind)).unwrap_or_default()
}

fn build(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, CLOCK)?;
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    ensure!(built.context("cc")?.success(), "cc could not build {}", source.display());
    Ok(library)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn clock_is_ahead_behind_or_right() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (seen, now, ahead) in [(9_000, 5_400, 3600), (5_400, 9_000, -3600), (7, 7, 0)] {
            assert_eq!(ahead_s(at(seen), at(now)), ahead, "{seen} at {now}");
        }
    }
}
