//! Projectors on an in-memory log with the stack's real stores. Each test has its own schema of
//! PostgreSQL, database of MongoDB and database of Redis, so the data of the running services is
//! not touched.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use projections::{
    Metrics, Projection, Stores,
    mongo::{self, Mongo},
    postgres::{self, Postgres},
    projector::{self, Projector},
    redis::{Live, Notices, Reads, Redis},
};
use redpanda::{
    log::{Headers, Topic},
    memory::MemoryLog,
};
use schemas::{Message, headers};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// How long a condition may take.
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) log: MemoryLog,
    pub(crate) resources: projector::Resources,
    pub(crate) postgres: Postgres,
    pub(crate) mongo: Mongo,
    pub(crate) redis: Redis,
    pub(crate) people: postgres::Reads,
    pub(crate) documents: mongo::Reads,
    pub(crate) hot: Reads,
    pub(crate) live: Live,
    pub(crate) notices: Notices,
    postgres_url: String,
    redis_url: String,
    clock: AtomicI64,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run under `stack run`"))
}

impl Bench {
    /// Creates empty stores and an empty log. `number` is the test's own database in Redis, 1 to
    /// 13, or one of 14 and 15, which tests share that keep no data in Redis.
    pub(crate) fn new(number: u8) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let guard = runtime.enter();
        let corner = format!("trial_{}", Uuid::new_v4().simple());
        let postgres_url = variable("MILLRACE_POSTGRES_URL");
        runtime.block_on(execute(&postgres_url, &format!("CREATE SCHEMA {corner}")));
        let postgres_url = format!("{postgres_url}?options=-c%20search_path%3D{corner}");
        let postgres = Postgres::new(&postgres_url, 8).expect("a URL");
        let mongo_url =
            format!("{}/{corner}", variable("MILLRACE_MONGO_URL").trim_end_matches('/'));
        let mongo = runtime.block_on(Mongo::new(&mongo_url)).expect("a URL");
        let redis_url =
            format!("{}/{number}", variable("MILLRACE_REDIS_URL").trim_end_matches('/'));
        let redis = Redis::new(&redis_url).expect("a URL");
        runtime.block_on(async {
            // Several instances start at once.
            let (one, two) = tokio::join!(postgres.migrate(), postgres.migrate());
            one.and(two).expect("migrated");
            postgres.migrate().await.expect("migrated again");
        });
        let notices = Notices::start(&redis);
        let stores =
            Stores { postgres: postgres.clone(), mongo: mongo.clone(), redis: redis.clone() };
        let projections = projections::catalog::all(&stores);
        let topics = projections.iter().flat_map(|projection| projection.topics());
        let log = MemoryLog::new(topics.map(|topic| (*topic, 2)));
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("metrics");
        let resources = projector::Resources::in_memory(&log, metrics, runtime.handle());
        drop(guard);
        let bench = Self {
            people: postgres::Reads::new(postgres.clone()),
            documents: mongo::Reads::new(mongo.clone()),
            hot: Reads::new(redis.clone()),
            live: Live::new(redis.clone(), notices.clone()),
            runtime,
            log,
            resources,
            postgres,
            mongo,
            redis,
            notices,
            postgres_url,
            redis_url,
            clock: AtomicI64::new(1_000),
        };
        for projection in projections {
            bench.wait(projection.prepare()).expect("prepared");
            bench.wait(projection.prepare()).expect("prepared again");
        }
        bench.command(&["FLUSHDB"]);
        bench
    }

    /// Sends Redis a command of the test's own.
    pub(crate) fn command(&self, words: &[&str]) {
        self.wait(async {
            let client = redis::Client::open(&*self.redis_url).expect("a URL");
            let mut connection =
                client.get_multiplexed_async_connection().await.expect("a connection");
            let mut command = redis::cmd(words[0]);
            words[1..].iter().for_each(|word| {
                command.arg(*word);
            });
            command.query_async::<redis::Value>(&mut connection).await.expect("an answer");
        });
    }

    /// Executes SQL of the test's own.
    pub(crate) fn sql(&self, text: &str) {
        self.wait(self.execute(text));
    }

    /// The same for a test that does something else meanwhile.
    pub(crate) async fn execute(&self, text: &str) {
        execute(&self.postgres_url, text).await;
    }

    /// A pool of connections to the same tables whose statements may take `ms` milliseconds.
    pub(crate) fn postgres_within(&self, ms: u32) -> Postgres {
        let url = format!("{}%20-c%20statement_timeout%3D{ms}", self.postgres_url);
        Postgres::new(&url, 1).expect("a URL")
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// All projections of all services, each once.
    pub(crate) fn all(&self) -> Vec<Box<dyn Projection>> {
        projections::catalog::all(&Stores {
            postgres: self.postgres.clone(),
            mongo: self.mongo.clone(),
            redis: self.redis.clone(),
        })
    }

    pub(crate) fn one(&self, name: &str) -> Box<dyn Projection> {
        self.all().into_iter().find(|projection| projection.name() == name).expect("a projection")
    }

    /// Creates a member of `group` for a projection. Members of different groups each own all
    /// partitions.
    pub(crate) fn member<'a>(
        &'a self,
        group: &str,
        projection: &'a dyn Projection,
    ) -> Projector<'a> {
        Projector::new(
            self.log.input(group, &owned(projection.topics())),
            projection,
            &self.resources,
        )
    }

    /// Appends an event; each is a millisecond later than the one before.
    pub(crate) fn append(
        &self,
        topic: &str,
        key: &str,
        version: i64,
        message: &impl Message,
    ) -> (i32, i64) {
        let mut value = Vec::new();
        message.encode(&self.resources.codec, &mut value).expect("bytes");
        let mut with = Headers::default();
        with.push(headers::VERSION, version.to_string());
        with.push(headers::ID, Uuid::new_v4().to_string());
        self.append_bytes(topic, key, &value, with)
    }

    /// Appends a record; each is a millisecond later than the one before.
    pub(crate) fn append_bytes(
        &self,
        topic: &str,
        key: &str,
        value: &[u8],
        with: Headers,
    ) -> (i32, i64) {
        self.log.set_time(self.clock.fetch_add(1, Ordering::Relaxed));
        self.log.append(topic, key, Some(value.to_vec().into()), with)
    }

    /// The time that the next event will have.
    pub(crate) fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets time pass before the next event.
    pub(crate) fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// Lets the members work until `done` returns a value.
    pub(crate) fn until<T>(
        &self,
        members: &mut [Projector<'_>],
        what: &str,
        mut done: impl FnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + WITHIN;
        loop {
            for member in &mut *members {
                member.step().expect("a step");
            }
            if let Some(found) = done() {
                return found;
            }
            assert!(Instant::now() < deadline, "timed out: {what}");
        }
    }
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("PostgreSQL");
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("executed");
    drop(client);
    connection.await.expect("it ends").expect("it ends well");
}

fn owned(topics: &[&str]) -> Vec<Topic> {
    topics.iter().map(|topic| (*topic).into()).collect()
}
