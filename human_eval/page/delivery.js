// Hands answers in, to wherever this page's answers go.

// Sends JSON to our server; a lost connection is waited out, a refusal is said.
async function post(path, body) {
  for (let attempt = 0; ; attempt++) {
    let reply = null;
    try {
      reply = await fetch(path, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), cache: "no-store",
      });
    } catch { /* no connection */ }
    if (reply && reply.ok) {
      say("");
      return reply.json();
    }
    if (reply && reply.status < 500 && reply.status !== 429) {
      const refusal = await reply.json().catch(() => ({}));
      if (refusal.reload) { // another set of pairs may be free
        warn(false);
        location.reload();
      }
      throw new Error(refusal.error || "The server refused (" + reply.status + ").");
    }
    say("The connection to the server is interrupted. Your answers so far are safe; trying again…");
    await pause(Math.min(10000, 500 * 2 ** attempt));
  }
}

// Where the answers go: each place has a way to save one answer, and to hand in the form.
const nothing = async () => {};
const places = {
  server: {
    save: (done) => post("api/answer", { session: study.session, ...done }),
    async finish(result) {
      const { trials, ...about } = result;
      const { code, redirect } = await post("api/finish", { session: study.session, ...about });
      end("Your answers are saved.", code);
      if (redirect) location.assign(redirect);
    },
  },
  frame: { // Mechanical Turk's frame: a form of our own, by POST, since answers are too long for a URL
    save: nothing,
    async finish(result) {
      const form = element("mturk_form") || document.createElement("form");
      form.replaceChildren();
      form.method = "post";
      form.action = submitTo() + "/mturk/externalSubmit";
      for (const [name, value] of Object.entries({ assignmentId: assignment, result: JSON.stringify(result) })) {
        form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
      }
      document.body.append(form);
      end("Your answers are being sent.");
      form.submit();
    },
  },
  task: { // a batch task inside the service's own form
    save: nothing,
    async finish(result) {
      element("result").value = JSON.stringify(result);
      end("Your answers are being sent.");
      HTMLFormElement.prototype.submit.call(element("result").form);
    },
  },
  file: { // from disk or any web server: what is answered waits in the browser until it is saved
    save: (done, form, rater) => remember(form, rater, done),
    async finish(result) {
      const link = element("save");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }));
      link.download = "answers-form" + (result.form + 1) + "-" + result.rater + ".json";
      link.hidden = false;
      link.addEventListener("click", () => { // only now are the answers in two places
        warn(false);
        forget(result);
      });
      end("Your answers are not sent anywhere by themselves: save the file and give it to the people who asked you.");
      link.focus();
    },
  },
};

// Whoever writes a link to this page must not be able to send answers elsewhere, or to run a program in it.
function submitTo() {
  try {
    const to = new URL(query.get("turkSubmitTo"));
    return to.protocol === "https:" && /(^|\.)mturk\.com$/.test(to.hostname) ? to.origin : "";
  } catch {
    return "";
  }
}

function place() {
  if (study.mode === "server") return places.server;
  if (submitTo()) return places.frame;
  if (element("result") && element("result").form) return places.task;
  return places.file;
}
