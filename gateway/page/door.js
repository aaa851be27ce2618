// The log-in and the log-out of a page that needs an account. It does not know what the page shows.

// Shows who is logged in, and otherwise the log-in, or a button that opens it.
function showWho(name, isDoorOpen = false) {
  $("who").textContent = name;
  $("leave").hidden = !name;
  $("door").hidden = !isDoorOpen;
  $("to-log-in").hidden = Boolean(name) || isDoorOpen;
}

// Lets users in: `enter` reads what the page shows, shows it, and fails for who may not see it;
// `reasonOf` tells the user why.
function openDoor(enter, reasonOf) {
  $("log-in").addEventListener("submit", async event => {
    event.preventDefault();
    const form = new FormData($("log-in"));
    $("enter").disabled = true;
    say("door-say", "Logging in …", "wait");
    try {
      const content = { email: form.get("email"), password: form.get("password") };
      setTokens((await request("POST", "/v1/sessions", content)).data);
      await enter().catch(error => {
        // Nobody needs the session of a user who does not get in.
        if (accessToken) revoke(accessToken);
        throw error;
      });
      $("log-in").reset();
      say("door-say", "");
    } catch (error) {
      accessToken = refreshToken = null;
      say("door-say", reasonOf(error), "bad");
    } finally {
      $("enter").disabled = false;
    }
  });
  $("leave").addEventListener("click", logOut);
  $("to-log-in").addEventListener("click", () => {
    showWho("", true);
    $("log-in").elements.email.focus();
  });
}
