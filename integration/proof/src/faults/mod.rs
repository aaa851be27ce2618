//! The faults. Each happens in the middle of a stream of commands and leaves a system behind in which everything runs; none judges what
//! came of it.

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use rand::{Rng, RngCore, rngs::StdRng};
use redpanda::{log::Headers, writer::CommandWriter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::{proxy::Mode, world::World};

/// Longer than a session and a transaction may be away.
const PAST_TIMEOUTS: Duration = Duration::from_secs(13);
/// Where libfaketime for programs of several threads is, on Debian.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

type Happening<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// One fault.
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in a line.
    pub what: &'static str,
    /// How often it runs in the full suite.
    pub runs: u32,
    /// Whether it is in the short part, which `integration/test` runs.
    pub short: bool,
    /// Why it can't be run here, if it can't.
    pub cannot: fn() -> Option<&'static str>,
    happen: for<'a> fn(&'a World, &'a mut StdRng, &'a str) -> Happening<'a>,
}

impl Fault {
    /// Lets it happen.
    pub async fn happen(&self, world: &World, rng: &mut StdRng, sku: &str) -> anyhow::Result<()> {
        (self.happen)(world, rng, sku).await
    }
}

macro_rules! fault {
    ($name:literal, $what:literal, $runs:literal, $short:literal, $happen:expr) => {
        Fault {
            name: $name,
            what: $what,
            runs: $runs,
            short: $short,
            cannot: || None,
            happen: |world, rng, sku| Box::pin($happen(world, rng, sku)),
        }
    };
}

macro_rules! kill_at {
    ($place:literal, $among:literal, $what:literal, $short:literal) => {
        fault!($place, $what, 5, $short, |world, rng, _| kill_at(world, rng, $place, $among))
    };
}

/// All of them.
pub const ALL: &[Fault] = &[
    kill_at!("after-poll", 40, "killed after a poll", false),
    kill_at!("after-begin", 40, "killed after a transaction has begun", true),
    kill_at!("after-send", 200, "killed after a record was handed to the producer", false),
    kill_at!("after-offsets", 40, "killed after the offsets were sent", false),
    kill_at!("before-commit", 40, "killed with everything written and nothing committed", true),
    kill_at!("end-sent", 40, "killed after the wish to commit was sent and before its answer", true),
    kill_at!("after-commit", 40, "killed after the commit, before anybody was told", true),
    kill_at!("before-store", 40, "a projector killed before it writes to its store", false),
    kill_at!("after-store", 40, "a projector killed after it has written to its store", false),
    fault!("during-restore", "killed while its state is being restored", 5, true, during_restore),
    fault!("in-rebalance", "killed while its partitions are taken from it", 5, false, in_rebalance),
    fault!("abort", "a transaction fails and is aborted", 5, true, abort),
    fault!("broker-killed", "the broker killed and started again", 3, true, broker_killed),
    fault!("broker-paused", "the broker paused past all timeouts", 1, false, broker_paused),
    fault!("zombie", "a service paused past its session's end, replaced, and woken", 3, true, zombie),
    fault!("twins", "two processes with one transactional id", 2, false, twins),
    fault!(
        "comings-and-goings",
        "an instance joins and leaves every two seconds",
        2,
        false,
        comings_and_goings
    ),
    fault!(
        "connections-cut",
        "all connections of a service to the broker cut, again and again",
        3,
        false,
        connections_cut
    ),
    fault!("slow-network", "every request and answer 100 ms late", 1, false, slow_network),
    fault!("end-answers-lost", "answers to EndTxn lost", 3, true, end_answers_lost),
    fault!("end-late", "EndTxn arrives when the next transaction is under way", 5, true, end_late),
    fault!("a-hundred-times", "the same command a hundred times", 1, true, a_hundred_times),
    fault!("poison", "records that can't be read, in every topic of commands", 1, true, poison),
    fault!(
        "registry-killed",
        "the registry away, and a service started meanwhile",
        1,
        false,
        registry_killed
    ),
    fault!("postgres-killed", "PostgreSQL killed", 2, false, |world, rng, _| store_killed(
        world, rng, "postgres"
    )),
    fault!("postgres-paused", "PostgreSQL paused for seconds", 1, false, |world, rng, _| paused(
        world, rng, "postgres"
    )),
    fault!("mongo-killed", "the Mongo server killed", 2, false, |world, rng, _| store_killed(
        world, rng, "mongo"
    )),
    fault!("mongo-paused", "the Mongo server paused for seconds", 1, false, |world, rng, _| paused(
        world, rng, "mongo"
    )),
    fault!("redis-killed", "Redis killed", 2, false, |world, rng, _| store_killed(world, rng, "redis")),
    fault!("redis-paused", "Redis paused for seconds", 1, false, |world, rng, _| paused(world, rng, "redis")),
    fault!("redis-emptied", "Redis emptied", 1, false, redis_emptied),
    Fault {
        cannot: || (!std::path::Path::new(FAKETIME).exists()).then_some("libfaketime is not installed"),
        ..fault!("clock-off", "a service's clock an hour ahead, then an hour behind", 1, false, clock_off)
    },
    fault!(
        "rolling-restart",
        "all services restarted in turn, with a schema version added",
        1,
        true,
        rolling_restart
    ),
];

/// One of the services, always another.
fn service(rng: &mut StdRng) -> &'static str {
    ["order-0", "order-0", "user-0", "notification-0"][rng.random_range(0..4)]
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn kill_at(world: &World, rng: &mut StdRng, place: &str, among: u32) -> anyhow::Result<()> {
    let name = service(rng);
    let order = format!("{place}:{}", rng.random_range(1..=among));
    world.kill(name).await?;
    world.begin(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.death_of(name).await?;
    world.start(name, &[]).await
}

async fn during_restore(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = "order-0";
    world.kill(name).await?;
    let order = format!("during-restore:{}", rng.random_range(1..=100));
    world.begin(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.death_of(name).await?;
    world.start(name, &[]).await
}

async fn in_rebalance(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.again("order-0", &[("MILLRACE_FAULT", "in-rebalance:1")]).await?;
    world.amid(50).await?;
    world.begin("order-1", &[]).await?;
    world.death_of("order-0").await?;
    world.start("order-0", &[]).await?;
    Ok(world.control.stop("order-1").await?)
}

async fn abort(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = service(rng);
    let order = format!("abort:{}", rng.random_range(1..=20));
    world.again(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.amid(200).await?;
    world.again(name, &[]).await
}

async fn broker_killed(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.again("broker", &[]).await
}

async fn broker_paused(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.control.signal("broker", "STOP").await?;
    sleep(PAST_TIMEOUTS * 2).await;
    Ok(world.control.signal("broker", "CONT").await?)
}

async fn zombie(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.control.signal("order-0", "STOP").await?;
    world.begin("order-1", &[]).await?;
    sleep(PAST_TIMEOUTS).await;
    world.control.wait("order-1", secs(60)).await?;
    world.amid(50).await?;
    world.control.signal("order-0", "CONT").await?;
    world.amid(100).await?;
    world.control.stop("order-1").await?;
    Ok(())
}

async fn twins(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.begin("order-1", &[("MILLRACE_INSTANCE", "0")]).await?;
    sleep(secs(10)).await;
    world.kill("order-1").await?;
    world.again("order-0", &[]).await
}

async fn comings_and_goings(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for _ in 0..4 {
        world.begin("order-1", &[]).await?;
        sleep(secs(2)).await;
        world.control.stop("order-1").await?;
        sleep(secs(2)).await;
    }
    Ok(())
}

/// Runs a service behind the proxy while `harm` is done.
async fn behind_proxy<F: Future<Output = anyhow::Result<()>>>(world: &World, harm: F) -> anyhow::Result<()> {
    world.again("order-0", &[("MILLRACE_BROKERS", &world.proxy_at)]).await?;
    world.amid(50).await?;
    let harmed = harm.await;
    world.proxy.set(Mode::Pass, 0);
    harmed?;
    world.again("order-0", &[]).await
}

async fn connections_cut(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let pauses: Vec<_> = (0..5).map(|_| Duration::from_millis(rng.random_range(200..1500))).collect();
    behind_proxy(world, async {
        for pause in pauses {
            world.proxy.cut();
            sleep(pause).await;
        }
        Ok(())
    })
    .await
}

async fn slow_network(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    behind_proxy(world, async {
        world.proxy.set(Mode::Delay(Duration::from_millis(100)), u64::MAX);
        sleep(secs(5)).await;
        Ok(())
    })
    .await
}

async fn end_answers_lost(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    end_harmed(world, Mode::DropEndAnswer, 3).await
}

async fn end_late(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    end_harmed(world, Mode::LateEnd(Duration::from_millis(rng.random_range(20..400))), 5).await
}

async fn end_harmed(world: &World, mode: Mode, times: u64) -> anyhow::Result<()> {
    behind_proxy(world, async {
        let before = world.proxy.harmed();
        for _ in 0..times {
            let done = world.proxy.harmed();
            world.proxy.set(mode, 1);
            let waiting = std::time::Instant::now();
            while world.proxy.harmed() == done && waiting.elapsed() < secs(20) {
                sleep(Duration::from_millis(20)).await;
            }
            world.amid(30).await?;
        }
        if world.proxy.harmed() == before {
            bail!("no end of a transaction passed the proxy: the fault did not happen");
        }
        sleep(secs(1)).await;
        Ok(())
    })
    .await
}

async fn a_hundred_times(world: &World, _: &mut StdRng, sku: &str) -> anyhow::Result<()> {
    world.load.a_hundred_times(sku).await
}

async fn poison(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let writer = CommandWriter::new(&world.brokers);
    let mut unknown = vec![0];
    unknown.extend(99_999_999_u32.to_be_bytes());
    unknown.extend(*b"whatever");
    // An id that is known, and no record behind it.
    let known = world.codec.id_of(<schemas::order::PlaceOrder as schemas::Record>::SCHEMA).unwrap_or(1);
    let mut truncated = vec![0];
    truncated.extend(known.to_be_bytes());
    let mut large = truncated.clone();
    large.resize(900_000, 7);
    for topic in ["order.commands", "stock.commands", "user.commands"] {
        for value in [&b"not Avro"[..], &unknown, &truncated, &large, &[]] {
            let key = format!("poison-{}", rng.next_u32());
            let value = Bytes::copy_from_slice(value);
            writer.write(topic, &key, value, &Headers::default(), secs(10)).await?;
        }
    }
    let over = writer
        .write("order.commands", "poison", vec![0; 2 << 20].into(), &Headers::default(), secs(10))
        .await;
    if over.is_ok() {
        bail!("a record above the topic's limit was taken");
    }
    world.amid(100).await
}

async fn registry_killed(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.kill("apicurio").await?;
    world.kill("order-0").await?;
    world.begin("order-0", &[]).await?;
    world.amid(100).await?;
    world.start("apicurio", &[]).await?;
    Ok(world.control.wait("order-0", secs(60)).await?)
}

async fn store_killed(world: &World, rng: &mut StdRng, name: &str) -> anyhow::Result<()> {
    world.kill(name).await?;
    sleep(Duration::from_millis(rng.random_range(0..3000))).await;
    world.start(name, &[]).await
}

async fn paused(world: &World, rng: &mut StdRng, name: &str) -> anyhow::Result<()> {
    world.control.signal(name, "STOP").await?;
    sleep(Duration::from_millis(rng.random_range(2000..6000))).await;
    Ok(world.control.signal(name, "CONT").await?)
}

async fn redis_emptied(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let address = world.redis.trim_start_matches("redis://");
    let mut stream = tokio::net::TcpStream::connect(address).await.context("Redis")?;
    stream.write_all(b"FLUSHALL\r\n").await?;
    let mut answer = [0; 8];
    let length = stream.read(&mut answer).await?;
    if !answer[..length].starts_with(b"+OK") {
        bail!("Redis was not emptied");
    }
    Ok(())
}

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

async fn clock_off(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
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

async fn rolling_restart(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    // A field that readers of today do not know: services that start later must not mind.
    let schema = <schemas::order::OrderPlaced as schemas::Record>::SCHEMA;
    let mut json: serde_json::Value = serde_json::from_str(schema.json)?;
    let field = serde_json::json!({ "name": "channel", "type": ["null", "string"], "default": null, "doc": "Where from." });
    json["fields"].as_array_mut().context("a record has fields")?.push(field);
    let url = format!("{}/subjects/{}/versions", world.registry, schema.name);
    let body = serde_json::json!({ "schema": json.to_string() });
    let answer = reqwest::Client::new().post(url).json(&body).send().await?;
    if !answer.status().is_success() {
        bail!("the registry did not take a compatible schema: {} {}", answer.status(), answer.text().await?);
    }
    for name in ["user-0", "order-0", "notification-0"] {
        world.control.stop(name).await?;
        world.start(name, &[]).await?;
        world.amid(50).await?;
    }
    Ok(())
}
