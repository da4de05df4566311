// The page's parts, settings and steps, and the forms that it can show.
// No template literals in any file here: batch services would fill in their placeholders.

const element = (id) => document.getElementById(id);
const study = JSON.parse(element("study").textContent);
const query = new URLSearchParams(location.search);
const assignment = query.get("assignmentId") || "";
const stage = element("stage");
const forms = study.forms.length ? study.forms : [formOfTheTask()];

const say = (text) => { element("problem").textContent = text; };
const nextFrame = () => new Promise(requestAnimationFrame);
const pressed = (id) => new Promise((done) => element(id).addEventListener("click", done, { once: true }));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A batch task carries its form as plain text, which no service's escaping can hurt: "TRIAL:FIRST:SECOND" and, for
// practice, ":0" or ":1" for the fake one's place.
function formOfTheTask() {
  const trials = element("task").textContent.trim().split(/\s+/).map((word) => {
    const [trial, first, second, fake] = word.split(":");
    const pair = { trial: Number(trial), images: [first + ".png", second + ".png"] };
    return fake === undefined ? pair : { ...pair, practice: true, fake: pair.images[Number(fake)] };
  });
  return { form: Number(element("task").dataset.form), trials };
}

function step(id) {
  for (const section of document.querySelectorAll("[data-step]")) section.hidden = section.id !== id;
  element("title").hidden = ["trial", "feedback"].includes(id);
  say("");
}

const chosenForm = () => forms.find((form) => String(form.form) === element("form").value) || forms[0];

function end(text, code) {
  element("outcome").textContent = text;
  element("code").hidden = !code;
  element("codetext").textContent = code || "";
  step("end");
}

// Closing the page in the middle is asked about.
function warn(on) {
  window.onbeforeunload = on ? (event) => { event.preventDefault(); } : null;
}
