//! A wall clock that is off, by libfaketime.

use anyhow::Context as _;
use rand::rngs::StdRng;

use crate::world::World;

/// Where libfaketime for programs of several threads is, on Debian.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// What libfaketime leaves out: C11's wait, which librdkafka uses, has the other layout's name only. Without it a clock an hour ahead makes
/// every wait last an hour, which no clock of a real machine does.
const CND_TIMEDWAIT: &str = "
#include <errno.h>
#include <pthread.h>
#include <threads.h>
int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *t) {
    int e = pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, t);
    return e == 0 ? thrd_success : e == ETIMEDOUT ? thrd_timedout : thrd_error;
}
";

/// Why it can't be had here, if so.
pub(super) fn cannot() -> Option<&'static str> {
    (!std::path::Path::new(FAKETIME).exists()).then_some("libfaketime is not installed")
}

pub(super) async fn clock_off(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let (source, shim) = (world.out.join("cnd_timedwait.c"), world.out.join("cnd_timedwait.so"));
    std::fs::write(&source, CND_TIMEDWAIT)?;
    let built =
        std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).status();
    anyhow::ensure!(built.context("cc")?.success(), "cc could not build {}", source.display());
    let preload = format!("{FAKETIME}:{}", std::path::absolute(&shim)?.display());
    for shift in ["+1h", "-1h"] {
        // A wall clock that is off leaves the monotonic one alone.
        let clock =
            [("LD_PRELOAD", preload.as_str()), ("FAKETIME", shift), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        world.again("order-0", &clock).await?;
        world.amid(200).await?;
    }
    world.again("order-0", &[]).await
}
