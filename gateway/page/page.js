// The live page's script, last part: log-in, log-out, and what is shown in between.

// `registration` is one whose outcome is unknown.
let isRegistering = false, registration = null;

async function logIn(event) {
  event.preventDefault();
  const form = new FormData($("log-in"));
  const [email, password, name] = ["email", "password", "name"].map(field => form.get(field));
  $("enter").disabled = true;
  try {
    if (isRegistering) {
      say("door-say", "Creating the account …", "wait");
      const user = { email, password, name }, content = JSON.stringify(user);
      // Repeats a registration whose outcome is unknown under its key.
      const isRepeat = registration?.content === content;
      registration = { content, key: isRepeat ? registration.key : randomId() };
      const headers = { Prefer: "wait=10", "Idempotency-Key": registration.key };
      const { status } = await request("POST", "/v1/users", user, headers);
      registration = null;
      if (status === 202) {
        showRegistration(false);
        say("door-say", "The account will be ready soon. Log in in a moment.", "wait");
        return;
      }
      showRegistration(false);
    }
    say("door-say", "Logging in …", "wait");
    setTokens((await request("POST", "/v1/sessions", { email, password })).data);
    beginSession((await request("GET", "/v1/users/me")).data);
  } catch (error) {
    accessToken = refreshToken = null;
    if (error.status && error.status < 500) registration = null;
    say("door-say", error.message, "bad");
    if (error.status === 401) $("log-in").elements.password.focus();
  } finally {
    $("enter").disabled = false;
  }
}

function beginSession(user) {
  session++;
  const isAdmin = user.role === "admin";
  $("who").textContent = user.name + (isAdmin ? " (admin)" : "");
  $("log-in").reset();
  say("door-say", "");
  showSession(true);
  $("shelf-title").focus();
  readStream(session, isAdmin);
  loadOrders();
  if (!$("shelf").querySelector("input")) loadProducts();
}

// Ends the session on this page, with the reason for the user.
function endSession(reason = "") {
  forgetSession();
  unconfirmed = null;
  position = lastOrder = "";
  if (connection) connection.abort();
  $("who").textContent = "";
  $("flow").replaceChildren();
  $("orders").replaceChildren();
  clearQuantities();
  say("door-say", reason, "wait");
  say("order-say", "");
  setConnected(false, "log in to see events");
  showSession(false);
  $("log-in").elements.email.focus();
}

// Shows what belongs to a session, or the log-in.
function showSession(isLoggedIn) {
  $("door").hidden = isLoggedIn;
  $("leave").hidden = $("mine").hidden = !isLoggedIn;
  $("place").disabled = !isLoggedIn;
  $("hint").textContent = isLoggedIn ? "" : "Log in to place an order.";
}

// Shows the form that creates an account, or the one that logs in.
function showRegistration(isShown) {
  isRegistering = isShown;
  const { name, password } = $("log-in").elements;
  $("name-field").hidden = !isShown;
  name.required = isShown;
  password.autocomplete = isShown ? "new-password" : "current-password";
  $("door-title").textContent = isShown ? "Create an account" : "Log in";
  $("enter").textContent = isShown ? "Create account" : "Log in";
  $("other").textContent = isShown ? "I have an account" : "Create an account";
}

$("log-in").addEventListener("submit", logIn);
$("order").addEventListener("submit", placeOrder);
$("other").addEventListener("click", () => {
  showRegistration(!isRegistering);
  say("door-say", "");
});
$("other").hidden = false;
$("leave").addEventListener("click", logOut);
$("shelf-more").addEventListener("click", showMoreProducts);
loadProducts();
