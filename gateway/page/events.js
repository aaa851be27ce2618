// Reads a stream of server-sent events for a page, and reconnects. It does not know what is
// streamed.

const RECONNECT_MS = 2000, DRAINING_MS = 1000;
// The server sends something every 15 s; after this time without anything the connection is lost.
const SILENCE_MAX_MS = 45000;

// The connection, to abort it.
let connection = null;

// Parses one block of an event stream.
function parseEvent(block) {
  const event = { kind: "message", data: "", id: null };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = line.slice(0, colon), value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.kind = value;
    if (field === "data") event.data += value;
    if (field === "id") event.id = value;
  }
  return event;
}

// The events of a response. A block that was cut off is never yielded.
async function* eventsOf(response, restartSilence) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    restartSilence();
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield parseEvent(block);
  }
}

// Reads a stream until the session `mine` ends, and reconnects when it is cut off. EventSource
// can't send a token, so this uses fetch. The stream ends with its token. `stream` has its `path`,
// the `headers` of the next request, and what to call: `opened`, `show` for each event, and
// `setConnected` with a text for the user.
async function readEvents(stream, mine) {
  while (mine === session) {
    const current = connection = new AbortController();
    let silence = 0, pause = RECONNECT_MS, state = "reconnecting";
    const restartSilence = () => {
      clearTimeout(silence);
      silence = setTimeout(() => current.abort(), SILENCE_MAX_MS);
    };
    try {
      const used = accessToken, headers = stream.headers();
      if (used) headers.Authorization = "Bearer " + used;
      restartSilence();
      const response = await send(stream.path, { headers, signal: current.signal });
      if (response.status === 401 && used) {
        if (accessToken === used) await refresh();
        continue;
      }
      if (!response.ok) throw Failure.of(response, await jsonOf(response));
      stream.opened();
      for await (const event of eventsOf(response, restartSilence)) {
        if (mine !== session) return;
        if (event.kind === "end" && event.data === "replaced") {
          stream.setConnected(false, "closed: too many pages with live events are open");
          return;
        }
        if (event.kind === "end") {
          pause = event.data === "token" ? 0 : DRAINING_MS;
          continue;
        }
        stream.show(event);
      }
      if (pause === 0 && accessToken === used) await refresh();
    } catch (error) {
      if (error instanceof Failure && error.status) state = error.message;
      pause = Math.max(RECONNECT_MS, (error.retryAfter || 0) * 1000);
    } finally {
      clearTimeout(silence);
    }
    if (mine !== session) return;
    stream.setConnected(false, state);
    await new Promise(resume => setTimeout(resume, pause));
  }
}
