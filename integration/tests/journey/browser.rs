//! The live page in a real browser, headless Chromium over WebDriver, used as a person would. It
//! reads only what the page shows, never the state of its script.

mod answers;
mod dashboard;
mod newcomer;
mod operations;
pub(crate) mod relay;
mod shelf;
mod trace;
mod turns;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Stdio;

use fantoccini::{Client, ClientBuilder, Locator, error::CmdError};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use relay::Relay;

use crate::support::{
    Judge, PASSWORD, RECOVERY_MAX, SEEN_MAX, Send, System, User, any, eventually, must, system,
    variable,
};

/// The events of a confirmed order, by version from 1.
const LIFE: [&str; 3] = ["OrderPlaced", "ReservationRecorded", "OrderConfirmed"];
/// Selects the events on the page, the oldest first: type and subject.
const EVENTS: &str = "return [...document.querySelectorAll('#flow li')].reverse()
    .map(row => ['strong', 'code'].map(part => row.querySelector(part)?.textContent ?? row.textContent))";

/// How a page is looked at: the end of its picture's name, the window's width in pixels, and the
/// color scheme that the reader prefers.
const LOOKS: [(&str, u32, &str); 4] = [
    ("", 1280, "light"),
    ("-dark", 1280, "dark"),
    ("-narrow", 360, "light"),
    ("-narrow-dark", 360, "dark"),
];

/// A browser window, and its driver. The driver's end closes the window.
struct Page {
    window: Client,
    driver_url: String,
    _driver: Child,
    _relay: Relay,
}

impl Page {
    /// Opens a page for a visit, and closes it whatever happens there: the browser's processes
    /// outlive the driver unless the window is closed.
    async fn visit(url: &str, visit: impl AsyncFnOnce(&Self)) {
        let page = Self::open(url).await;
        let seen = AssertUnwindSafe(visit(&page)).catch_unwind().await;
        page.window.close().await.expect("closed");
        if let Err(failure) = seen {
            resume_unwind(failure);
        }
    }

    async fn open(url: &str) -> Self {
        // The driver chooses a free port and prints it.
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver (Debian's package chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("text").expect("a port before it ends");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let resolve = format!("--host-resolver-rules=MAP {} 127.0.0.1", newcomer::ELSEWHERE);
        let mut args =
            vec!["--headless=new", "--disable-dev-shm-usage", "--window-size=1280,900", &resolve];
        if nix::unistd::geteuid().is_root() {
            // Chromium refuses to run as root with its sandbox.
            args.push("--no-sandbox");
        }
        let mut asked = serde_json::Map::new();
        asked.insert("goog:chromeOptions".into(), json!({ "args": args }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let driver_url = format!("http://127.0.0.1:{port}");
        let window = builder.capabilities(asked).connect(&driver_url).await;
        let window = window.expect("a browser window");
        let (relay, url) = Relay::open(url).await;
        window.goto(&url).await.expect("the page");
        Self { window, driver_url, _driver: driver, _relay: relay }
    }

    async fn text(&self, css: &str) -> Result<String, String> {
        loop {
            match async { self.window.find(Locator::Css(css)).await?.text().await }.await {
                // The page has replaced the element meanwhile, which happens once in a while.
                Err(error) if error.is_stale_element_reference() => {}
                text => return text.map_err(|error: CmdError| error.to_string()),
            }
        }
    }

    /// Checks that the page fits windows of a computer and of a phone, in light and in dark. Keeps
    /// a picture of each in the folder that `MILLRACE_SCREENSHOTS` names, if it is set: that is how
    /// the README's pictures are made.
    async fn fits(&self, name: &str) {
        for (end, width, scheme) in LOOKS {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            self.emulate("setEmulatedMedia", json!({ "features": features })).await;
            let size = json!({
                "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false
            });
            self.emulate("setDeviceMetricsOverride", size).await;
            eventually(&format!("{name}{end} fits {width} pixels"), SEEN_MAX, async || {
                let asked = "return document.documentElement.scrollWidth";
                let wide = self.window.execute(asked, vec![]).await;
                let wide = wide.map_err(|error| error.to_string())?;
                must(wide.as_u64().is_some_and(|wide| wide <= width.into()), wide)
            })
            .await;
            if let Some(folder) = std::env::var_os("MILLRACE_SCREENSHOTS") {
                self.window.execute("scrollTo(0, 0)", vec![]).await.expect("it scrolls");
                let picture = self.window.screenshot().await.expect("a screenshot");
                let file = std::path::Path::new(&folder).join(format!("{name}{end}.png"));
                std::fs::write(file, picture).expect("the screenshot's file");
            }
        }
        self.emulate("clearDeviceMetricsOverride", json!({})).await;
        self.emulate("setEmulatedMedia", json!({ "features": [] })).await;
    }

    /// Sends a command of the domain `Emulation` of the DevTools protocol. WebDriver has none.
    async fn emulate(&self, command: &str, parameters: serde_json::Value) {
        let session = self.window.session_id().await.expect("an answer").expect("a session");
        let url = format!("{}/session/{session}/goog/cdp/execute", self.driver_url);
        let command =
            json!({ "cmd": format!("Emulation.{command}"), "params": parameters }).to_string();
        let http = integration::http().build().expect("a client");
        let answer = http.post(url).body(command).send().await.expect("the driver's answer");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    async fn click(&self, css: &str) {
        self.window.find(Locator::Css(css)).await.expect(css).click().await.expect(css);
    }

    /// Writes the text into an input, instead of what is there.
    async fn fill(&self, css: &str, text: &str) {
        let input = self.window.find(Locator::Css(css)).await.expect(css);
        input.clear().await.expect(css);
        input.send_keys(text).await.expect(css);
    }

    async fn log_in(&self, email: &str, password: &str) {
        for (name, value) in [("email", email), ("password", password)] {
            self.fill(&format!("#log-in input[name={name}]"), value).await;
        }
        self.click("#enter").await;
    }

    /// Waits until the element has this text.
    async fn says(&self, css: &str, what: &str) {
        eventually(what, RECOVERY_MAX, async || {
            let text = self.text(css).await?;
            must(text.contains(what), text)
        })
        .await;
    }

    async fn events(&self) -> Vec<(String, String)> {
        let rows = self.window.execute(EVENTS, vec![]).await.expect("the events");
        serde_json::from_value(rows).expect("pairs")
    }

    /// Waits until the page shows the last of this order's events, and checks that it shows each
    /// once and in order.
    async fn shows_the_life_of(&self, order: &str) {
        let of = |version| format!("order/{order}@{version}");
        let events = eventually("the order is confirmed on the page", SEEN_MAX, async || {
            let events = self.events().await;
            must(
                events.iter().any(|(kind, of_what)| kind == LIFE[2] && *of_what == of(3)),
                &events,
            )?;
            Ok(events)
        })
        .await;
        let seen: Vec<_> =
            events.iter().filter(|(_, of_what)| of_what.contains(order)).cloned().collect();
        let expected: Vec<_> =
            (1..).zip(LIFE).map(|(version, kind)| (kind.to_owned(), of(version))).collect();
        assert_eq!(expected, seen, "{events:?}");
    }
}

/// Orders one piece, also while a gateway is down: a repetition under the same key is the same
/// order.
async fn order(user: &User, sku: &str) -> String {
    let key = any();
    eventually("an order is taken", RECOVERY_MAX, async || {
        let placed = user.client.place_order(&[(sku, 1)]).key(&key).wait(10).answer().await;
        Ok(placed.expect_code(201)?.location_id().expect("its address").to_owned())
    })
    .await
}

/// The number of streams that the gateways serve.
async fn streams() -> Result<f64, String> {
    let mut sum = 0.0;
    for instance in ["0", "1"] {
        let url = format!("{}/metrics", variable(&format!("MILLRACE_INTERNAL_GATEWAY_{instance}")));
        let answer = integration::get(url).await.map_err(|error| integration::chain(&error))?;
        let text = answer.text().await.map_err(|error| integration::chain(&error))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("millrace_gateway_stream_clients "));
        sum += line.and_then(|value| value.parse::<f64>().ok()).ok_or("no number of streams")?;
    }
    Ok(sum)
}

async fn visit(system: &System, page: &Page) {
    // Given Ada, and something to order
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;

    // When she mistypes her password, then the page says so, and accepts the right one
    page.log_in(&ada.email, "not her password").await;
    page.says("#door-say", "The address or the password is wrong.").await;
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#who", "Ada").await;
    page.says("#flow-state", "connected").await;
    assert_eq!(Vec::<(String, String)>::new(), page.events().await);

    // When each gateway is killed in turn, one of them with the stream and before its first event
    let mut orders = Vec::new();
    for gateway in ["gateway-0", "gateway-1"] {
        system.control.kill(gateway).await.expect("killed");
        orders.push(order(&ada, &sku).await);
        // Then the page shows what has happened since, without a reload
        page.shows_the_life_of(&orders[orders.len() - 1]).await;
        system.restart(gateway).await;
        orders.push(order(&ada, &sku).await);
        page.shows_the_life_of(&orders[orders.len() - 1]).await;
    }

    // And the page has missed nothing, shows nothing twice and has not stopped
    for order in &orders {
        page.shows_the_life_of(order).await;
    }
    let events = page.events().await;
    let mut once = events.clone();
    once.sort();
    once.dedup();
    assert_eq!(events.len(), once.len(), "{events:?}");
    assert!(!events.iter().any(|(kind, _)| kind.contains("missed")), "{events:?}");
    page.says("#orders", "confirmed").await;
    page.fits("shop").await;

    // When she logs out, then the page is empty, and the stream has ended
    eventually("one stream", SEEN_MAX, async || must(streams().await? > 0.0, "none")).await;
    page.click("#leave").await;
    page.says("#flow-state", "log in to see events").await;
    assert_eq!(Vec::<(String, String)>::new(), page.events().await);
    eventually("no stream", SEEN_MAX, async || {
        let streams = streams().await?;
        must(streams == 0.0, streams)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn a_visit_in_a_browser() {
    let system = system().await;
    Page::visit(&system.url, async |page| visit(&system, page).await).await;
}
