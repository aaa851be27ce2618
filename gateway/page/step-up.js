// The operator's desk: the password is given again before data is changed.

// The address of the admin, who may have to give the password again.
let email = "";

// Asks for the password in a dialog, and logs in again with it.
function askPassword() {
  const mine = session, dialog = $("step-up"), form = $("step-up-form");
  const stop = new AbortController(), { signal } = stop;
  const submit = async event => {
    event.preventDefault();
    const old = accessToken, content = { email, password: form.elements.password.value };
    $("step-up-confirm").disabled = true;
    say("step-up-say", "Logging in …", "wait");
    try {
      const { data } = await request("POST", "/v1/sessions", content);
      // After a cancellation nobody needs the new session, and otherwise nobody the old one.
      const isLate = mine !== session || signal.aborted;
      revoke(isLate ? data.access_token : old);
      if (isLate) return;
      setTokens(data);
      dialog.close("done");
    } catch (error) {
      if (signal.aborted) return;
      say("step-up-say", error.message, "bad");
      form.elements.password.select();
    } finally {
      if (!signal.aborted) $("step-up-confirm").disabled = false;
    }
  };
  form.reset();
  form.elements.email.value = email;
  say("step-up-say", "");
  $("step-up-confirm").disabled = false;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    form.addEventListener("submit", submit, { signal });
    dialog.addEventListener("close", () => {
      stop.abort();
      form.reset();
      if (dialog.returnValue === "done") resolve();
      else reject(new Failure("Nothing was done: the password was not given.", 401));
    }, { signal });
  });
}

// All requests that need the password share one dialog.
let asking = null;
stepUp = () => asking ??= askPassword().finally(() => { asking = null; });
