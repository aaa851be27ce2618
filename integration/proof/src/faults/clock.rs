//! A wrong wall clock, by a library that is loaded before libc. Chosen over libfaketime, whose
//! initialisation conflicts with mimalloc's, and which does not change the wait that librdkafka
//! uses.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;

use crate::world::World;

/// How far the clock is moved, ahead and behind, in seconds.
const SHIFT_S: i64 = 3600;

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
    for shift in [SHIFT_S, -SHIFT_S] {
        let shift_s = shift.to_string();
        let clock = [("LD_PRELOAD", library), ("CLOCK_SHIFT_S", &shift_s)];
        let seen = off_by(&clock)?;
        ensure!((seen - shift).abs() < 60, "the clock was to be {shift} s off and is {seen}");
        world.restart("order-0", &clock).await?;
        world.wait_for_commands(200).await?;
    }
    world.restart("order-0", &[]).await
}

fn build(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, CLOCK)?;
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    ensure!(built.context("cc")?.success(), "cc could not build {}", source.display());
    Ok(library)
}

/// How far the clock of a program with this environment is wrong, in seconds.
fn off_by(clock: &[(&str, &str)]) -> anyhow::Result<i64> {
    let printed =
        Command::new("date").arg("+%s").envs(clock.iter().copied()).output().context("date")?;
    let printed: i64 =
        String::from_utf8_lossy(&printed.stdout).trim().parse().context("what date says")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    Ok(printed - i64::try_from(now)?)
}
