//! The documents' examples: their commands run exactly as printed, and their output is compared.
//! Run under `stack run`, as integration/test does. `MILLRACE_PRINTED=write` writes what was
//! printed into the document, for a review with `git diff`.

mod markdown;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use integration::stack::Control;
use redpanda::{
    log::{Record, TopicPartition},
    registry::Registry,
    scan::{self, Isolation},
};
use schemas::json::Converter;

use markdown::{Run, Step, matches, steps};
use session::Session;

/// How long a processor may take to process an order.
const SEEN_MAX: Duration = Duration::from_secs(30);

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout")
}

/// A document whose steps run one after the other.
struct Document {
    path: PathBuf,
    lines: Vec<String>,
    /// By how many lines the text has grown, if it is rewritten.
    grown: isize,
}

impl Document {
    fn read(path: PathBuf) -> (Self, Vec<Step>) {
        let text = std::fs::read_to_string(&path).expect("a document");
        let lines = text.lines().map(str::to_owned).collect();
        (Self { path, lines, grown: 0 }, steps(&text))
    }

    fn step(&mut self, step: &Step, session: &mut Session, scratch: &Path) {
        match step {
            Step::Edit(edit) => {
                let file = scratch.join("edit.diff");
                std::fs::write(&file, edit).expect("written");
                let refused = session.run(&format!("git apply '{}'", file.display()));
                assert!(refused.is_empty(), "{edit}\n{}", refused.join("\n"));
            }
            Step::Run(run) => {
                let printed = session.run(&run.command);
                if !matches(&run.expected, &printed) {
                    self.differs(run, printed);
                }
            }
        }
    }

    fn differs(&mut self, run: &Run, printed: Vec<String>) {
        let (begin, end) = run.lines;
        if std::env::var("MILLRACE_PRINTED").is_ok_and(|value| value == "write") {
            let at = |line: usize| line.checked_add_signed(self.grown).expect("a line");
            let (begin, end) = (at(begin), at(end));
            self.grown += printed.len() as isize - (end - begin) as isize;
            self.lines.splice(begin..end, printed);
            std::fs::write(&self.path, self.lines.join("\n") + "\n").expect("written");
            return;
        }
        panic!(
            "{}:{begin}: $ {}\n-- in the document\n{}\n-- printed\n{}",
            self.path.display(),
            run.command,
            run.expected.join("\n"),
            printed.join("\n")
        );
    }
}

/// No crate depends on these programs, so they are built separately.
fn are_built(programs: &[&str]) {
    let tests = std::env::current_exe().expect("this test");
    let folder = tests.parent().and_then(Path::parent).expect("a folder");
    for program in programs.iter().map(|name| folder.join(name)) {
        let how = "cargo build --workspace --bins --examples";
        assert!(program.is_file(), "{} is not built: `{how}`", program.display());
    }
}

/// A loopback address at which nothing listens, below the ports of outgoing connections.
fn free_address() -> String {
    let mut addresses =
        std::iter::repeat_with(|| format!("127.0.0.1:{}", rand::random_range(10_000..20_000)));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).expect("a free port")
}

/// The sum of the end offsets of all dead letters.
fn dead_letters() -> i64 {
    let dead = redpanda::topics::all().iter().filter(|topic| topic.is_dead());
    let places: Vec<_> = dead
        .flat_map(|topic| {
            (0..topic.partitions).map(|number| TopicPartition::new(topic.name.as_str(), number))
        })
        .collect();
    let ends = scan::ends(&setting("MILLRACE_BROKERS"), &places).expect("their ends");
    ends.iter().map(|(_, end)| end).sum()
}

/// The processes of the stack.
fn processes() -> BTreeMap<String, Option<u32>> {
    let status = wait_for(async {
        Control::from_env().expect("a stack").status().await.expect("its status")
    });
    status.into_iter().map(|part| (part.name, part.pid)).collect()
}

/// The records of `sales.events` by order: name, partition and offset of each.
fn sales() -> BTreeMap<String, Vec<(String, i32, i64)>> {
    let partitions = redpanda::topics::all().get("order.events").expect("a topic").partitions;
    let brokers = setting("MILLRACE_BROKERS");
    let records = scan::scan(
        &brokers,
        "sales.events",
        partitions,
        Isolation::Committed,
        &mut BTreeMap::new(),
        SEEN_MAX,
    );
    let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("a client");
    let mut converters = BTreeMap::new();
    let mut read = |record: &Record| {
        let (id, avro) =
            schemas::split(record.value.as_ref().expect("a value")).expect("the wire format");
        let converter = converters.entry(id).or_insert_with(|| {
            let schema = wait_for(registry.schema_by_id(id)).expect("an answer").expect("a schema");
            Converter::new(&schema, &[]).expect("a schema")
        });
        let sale = converter.to_json(avro).expect("a sale");
        let name = converter.name().expect("a name");
        (
            sale["order_id"].as_str().expect("an order").to_owned(),
            (name, record.partition, record.offset),
        )
    };
    let mut sales = BTreeMap::<String, Vec<_>>::new();
    for record in records.expect("records") {
        let (order, place) = read(&record);
        sales.entry(order).or_default().push(place);
    }
    sales
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn walkthrough_is_as_printed_and_orders_continue() {
    are_built(&["schemas", "examples/sales", "examples/takings", "examples/orders"]);
    let scratch = tempfile::tempdir().expect("a folder");
    let mut session =
        Session::new(&root(), scratch.path(), &[("MILLRACE_INTERNAL", &free_address())]);
    let (mut document, steps) = Document::read(root().join("schemas/EVOLUTION.md"));
    let (dead, running) = (dead_letters(), processes());

    // The last step ends the processor, which has to process the last orders before.
    let (last, steps) = steps.split_last().expect("steps");
    for step in steps {
        document.step(step, &mut session, scratch.path());
    }

    let log = session.run("cat orders.log");
    let orders: BTreeSet<&str> =
        log.iter().filter_map(|line| line.strip_prefix("order ")?.split(' ').next()).collect();
    let begun = Instant::now();
    let sales = loop {
        let sales = sales();
        let missing: Vec<_> = orders.iter().filter(|order| !sales.contains_key(**order)).collect();
        if missing.is_empty() {
            break sales;
        }
        assert!(begun.elapsed() < SEEN_MAX, "confirmed, and not on sales.events: {missing:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let mut kinds = BTreeSet::new();
    for (order, written) in &sales {
        let names: Vec<_> = written.iter().map(|(name, ..)| name.as_str()).collect();
        match written.as_slice() {
            [_] => {}
            // No offset is between them, where a transaction marker would be, so they are of one
            // transaction.
            [(_, partition, first), (_, other, second)] => {
                assert_eq!((partition, first + 1), (other, *second), "{order}: {names:?}");
            }
            _ => panic!("{order}: {written:?}"),
        }
        if orders.contains(order.as_str()) {
            kinds.insert(names);
        }
    }
    let (old, new) = ("millrace.sales.SaleMade", "millrace.sales.SaleMadeV2");
    assert_eq!(kinds, BTreeSet::from([vec![old], vec![old, new], vec![new]]));
    // Readers of either build have seen all of their records, each sale once.
    let mut takings = |build: &str| session.run(&format!("takings {build}")).join("\n");
    let of_old = sales.values().filter(|written| written[0].0 == old).count();
    for (build, count) in [("old", of_old), ("new", sales.len())] {
        let printed = takings(build);
        assert!(
            printed.starts_with(&format!("{count} sales, ")),
            "{build}: {count}, not {printed}"
        );
    }
    assert_eq!(dead_letters(), dead, "dead letters were written");
    assert_eq!(processes(), running, "the stack's processes are others");
    document.step(last, &mut session, scratch.path());
}

#[test]
#[ignore = "needs the stack"]
fn readme_of_the_schemas_is_as_printed() {
    are_built(&["schemas"]);
    let scratch = tempfile::tempdir().expect("a folder");
    let mut session = Session::new(&root(), scratch.path(), &[]);
    let copy = "cp -r schemas redpanda $TMPDIR && cd $TMPDIR && git init -q && git add . && git commit -qm copy";
    let refused = session.run(copy);
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let (mut document, steps) = Document::read(root().join("schemas/TOUR.md"));
    assert!(!steps.is_empty());
    for step in &steps {
        document.step(step, &mut session, scratch.path());
    }
}
