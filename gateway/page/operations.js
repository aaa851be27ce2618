// The operator's desk, last part of its script: its session.

// Shows the desk of a session.
function begin(me) {
  session++;
  email = me.email;
  showWho(me.name);
  $("desk").hidden = false;
  say("say", "");
  $("parked-title").focus();
  readEvents(STREAM, session);
}

// Ends the session on this page, with the reason for the user.
function endSession(reason = "") {
  forgetSession();
  if (connection) connection.abort();
  setConnected(false, "connecting");
  for (const id of ["ask", "step-up"]) if ($(id).open) $(id).close();
  for (const [id, list] of Object.entries(LISTS)) {
    $(id).replaceChildren();
    Object.assign(list, { isLong: false, asksNext: null });
  }
  drawFigures({});
  $("desk").hidden = true;
  showWho("", true);
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

// Fails for a user who is no admin.
async function enter() {
  await readList("parked");
  begin((await request("GET", "/v1/users/me")).data);
  await readAll();
}

$("redrive").addEventListener("submit", carryOut);
$("cancel").addEventListener("click", () => $("ask").close());
$("step-up-cancel").addEventListener("click", () => $("step-up").close());
$("read").addEventListener("click", () => {
  say("say", "");
  readAll();
});
openDoor(enter, error => error.status === 403 ? "Only admins see the desk." : error.message);
for (const id of Object.keys(LISTS)) {
  $(id + "-more").addEventListener("click", () => {
    readList(id, LISTS[id].next).catch(error => say("say", error.message, "bad"));
  });
}
endSession();
