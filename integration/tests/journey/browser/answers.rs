//! Holds back answers to a page's requests, and loses or replaces them, so that a test can show
//! what the page does in between. Nothing is changed but `fetch`; the requests reach the server.

use serde_json::{Value, json};

use super::{Page, SEEN_MAX, eventually, must};

/// Takes the place of `fetch`. `answers.asked` has all requests; an entry of `answers.held` waits
/// for the request with its method and path, and then for what is decided of its answer. It is
/// `taken` when the page has done with the answer what it can do at once.
const WATCH: &str = r#"
    if (window.answers) return;
    const send = window.fetch;
    window.answers = { asked: [], held: [] };
    window.fetch = async (url, options = {}) => {
        const { method = "GET", headers = {} } = options, [path] = url.split("?");
        answers.asked.push({ method, path, headers: { ...headers } });
        const held = answers.held.find(it => !it.state && it.method === method && it.path === path);
        if (!held) return send(url, options);
        held.state = "asked";
        const came = await send(url, options);
        held.state = "here";
        const { isLost, status, body } = await new Promise(decide => { held.decide = decide; });
        const taken = () => setTimeout(() => { held.state = "taken"; });
        if (isLost) {
            taken();
            throw new TypeError("The connection was lost.");
        }
        const answer = status ? new Response(body, { status }) : came, text = await answer.text();
        answer.text = async () => {
            taken();
            return text;
        };
        return answer;
    };
"#;
const HOLD: &str = r#"
    const [method, path] = arguments;
    return answers.held.push({ method, path }) - 1;
"#;
const STATE: &str = "return answers.held[arguments[0]].state ?? 'not asked'";
const DECIDE: &str = "answers.held[arguments[0]].decide(arguments[1])";
const ASKED: &str = r#"
    const [method, path] = arguments;
    return answers.asked.filter(it => it.method === method && it.path === path)
        .map(it => it.headers);
"#;

/// The answer to one request, held back until the test decides on it.
pub(super) struct Held<'a> {
    page: &'a Page,
    number: Value,
}

impl Page {
    /// Holds back the answer to the next request with this method and path.
    pub(super) async fn hold(&self, method: &str, path: &str) -> Held<'_> {
        self.run(WATCH, vec![]).await;
        let number = self.run(HOLD, vec![json!(method), json!(path)]).await;
        Held { page: self, number }
    }

    /// The headers of all requests with this method and path since the first answer was held back.
    pub(super) async fn asked(&self, method: &str, path: &str) -> Vec<Value> {
        let asked = self.run(ASKED, vec![json!(method), json!(path)]).await;
        serde_json::from_value(asked).expect("a list")
    }

    /// Runs a script in the page.
    pub(super) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.window.execute(script, arguments).await.expect(script)
    }
}

impl Held<'_> {
    /// Waits until the server has answered.
    pub(super) async fn here(&self) {
        self.is("here").await;
    }

    /// Lets the page have the answer.
    pub(super) async fn release(self) {
        self.decide(json!({})).await;
    }

    /// Lets the page believe that the connection was lost before the answer.
    pub(super) async fn lose(self) {
        self.decide(json!({ "isLost": true })).await;
    }

    /// Lets the page have another answer.
    pub(super) async fn replace(self, status: u16, body: &str) {
        self.decide(json!({ "status": status, "body": body })).await;
    }

    async fn decide(self, fate: Value) {
        self.here().await;
        self.page.run(DECIDE, vec![self.number.clone(), fate]).await;
        self.is("taken").await;
    }

    async fn is(&self, expected: &str) {
        eventually(&format!("the answer is {expected}"), SEEN_MAX, async || {
            let state = self.page.run(STATE, vec![self.number.clone()]).await;
            must(state == expected, state)
        })
        .await;
    }
}
