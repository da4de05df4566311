// The rater page: loads a form's photos, shows each pair, times every exposure by animation frames, hands in answers.
// It knows no answer that counts: which photo is real stands only in the study's private key. Practice pairs say it.

const PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"; // what Mechanical Turk says to a worker who only looks
let consented = "";

function refreshStart() {
  const vision = document.querySelector("input[name=vision]:checked");
  const deficient = vision && vision.value === "deficient";
  const preview = assignment === PREVIEW;
  element("start").disabled = !loaded || !vision || deficient || preview;
  if (preview) say("This is a preview. Accept the task to begin.");
  else if (deficient) {
    const task = [places.frame, places.task].includes(place()) ? " Please return the task." : "";
    say("Thank you, but this study needs raters with normal color vision." + task);
  }
  else if (loaded && vision) say("");
}

async function run() {
  const rater = codeOf(element("rater").value);
  if (!element("who").hidden && !rater) {
    say("Please enter the rater name that you were given, or any name of your own.");
    element("rater").focus();
    return;
  }
  const form = chosenForm();
  const there = place();
  flipName = flipName || (study.mode === "server" ? "" : rater);
  try {
    warn(true);
    const before = there === places.file ? remembered(form.form, rater) : [];
    const trials = await runTrials(form, (done) => there.save(done, form.form, rater), before);
    step("comment");
    element("words").focus();
    await pressed("send");
    element("send").disabled = true;
    const result = {
      study: study.study, pilot: study.pilot, form: form.form, rater, assignment, flip: flipName, consent: consented,
      color_vision: document.querySelector("input[name=vision]:checked").value,
      comment: element("words").value.trim(), finished: new Date().toISOString(), user_agent: navigator.userAgent,
      device_pixel_ratio: window.devicePixelRatio, screen: [screen.width, screen.height],
      shown_width: stage.dataset.width, trials,
    };
    window.studyResult = result; // for a page that embeds this one
    if (there !== places.file) warn(false);
    await there.finish(result);
  } catch (error) {
    warn(false);
    step("none");
    say(error.message);
  }
}

async function main() {
  stage.style.width = study.width + "px";
  stage.style.aspectRatio = study.width + " / " + study.height;
  for (const form of forms) element("form").add(new Option(String(form.form + 1), String(form.form)));
  if (query.has("form")) element("form").value = String(Number(query.get("form")) - 1);
  if (query.has("form") && !element("form").value) {
    step("none");
    say("This page has no form " + query.get("form") + ". Please tell the people who asked you.");
    return;
  }
  element("rater").value = query.get("rater") || query.get("workerId") || "";
  element("who").hidden = study.mode !== "static" || place() !== places.file;
  element("which").hidden = forms.length < 2;
  element("form").addEventListener("change", () => load(chosenForm(), refreshStart));
  document.querySelectorAll("input[name=vision]").forEach((box) => box.addEventListener("change", refreshStart));
  element("start").addEventListener("click", run);
  load(chosenForm(), refreshStart);
  step("consent");
  await pressed("agree");
  consented = new Date().toISOString();
  step("welcome");
  refreshStart();
}

main();
