// The rater page: loads a form's images, shows each pair, times every exposure by animation frames, keeps the answers.
// It knows no answer: which image is real stands only in the study's private key.
"use strict";
(() => {
  const EXPOSURE_MS = 1000;
  const BLANK_MS = 600;
  const FIXATION_MS = 600;

  const study = JSON.parse(document.getElementById("study").textContent);
  const query = new URLSearchParams(location.search);
  const element = (id) => document.getElementById(id);
  const stage = element("stage");
  let images = new Map(); // file name -> decoded <img> on the stage
  let loading = 0; // number of the newest load; an older one that ends late is ignored

  const nextFrame = () => new Promise(requestAnimationFrame);

  // FNV-1a: blind to which image is real, and the same for one rater and trial whenever the page is opened.
  function hash(text) {
    let value = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  }

  function chosenForm() {
    return study.forms.find((form) => String(form.form) === element("form").value);
  }

  async function load(form) {
    const turn = ++loading;
    const start = element("start");
    element("problem").textContent = "";
    start.disabled = true;
    stage.querySelectorAll("img").forEach((image) => image.remove());
    images = new Map();
    const names = form.trials.flatMap((trial) => trial.images);
    for (const [done, name] of names.entries()) {
      const image = new Image(study.width, study.height);
      image.alt = "";
      image.src = "images/" + name;
      try {
        await image.decode();
      } catch {
        if (turn === loading) {
          element("problem").textContent = `Image ${done + 1} of ${names.length} could not be loaded. `
            + "Please check your connection and reload this page.";
        }
        return;
      }
      if (turn !== loading) return;
      images.set(name, stage.appendChild(image));
      start.textContent = `Loading the images… ${done + 1} of ${names.length}`;
    }
    start.textContent = `Start (${form.trials.length} pairs)`;
    start.disabled = false;
  }

  // Waits for whole frames: until the frame that is nearest to `ms` after `since`.
  async function wait(since, ms, frame) {
    let now = since;
    while (now - since < ms - frame / 2) now = await nextFrame();
    return now;
  }

  async function measureFrame() {
    const times = [await nextFrame()];
    for (let i = 0; i < 10; i++) times.push(await nextFrame());
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return gaps[5];
  }

  // Shows one element for EXPOSURE_MS; returns what really happened.
  async function expose(thing, ms, frame) {
    thing.classList.add("shown");
    const onset = await nextFrame();
    const offset = await wait(onset, ms, frame);
    thing.classList.remove("shown");
    return { planned_ms: ms, actual_ms: offset - onset, frame_ms: frame };
  }

  async function showPair(names, frame) {
    const hidden = { happened: document.hidden };
    const note = () => { hidden.happened = true; };
    document.addEventListener("visibilitychange", note);
    window.addEventListener("blur", note);
    await expose(element("fixation"), FIXATION_MS, frame);
    await wait(await nextFrame(), BLANK_MS, frame);
    const first = await expose(images.get(names[0]), EXPOSURE_MS, frame);
    await wait(await nextFrame(), BLANK_MS, frame);
    const second = await expose(images.get(names[1]), EXPOSURE_MS, frame);
    document.removeEventListener("visibilitychange", note);
    window.removeEventListener("blur", note);
    return { exposures: [first, second], interrupted: hidden.happened };
  }

  async function untilVisible() {
    while (document.hidden) await new Promise((done) => setTimeout(done, 200));
  }

  function answer() {
    const panel = element("answers");
    const shown = performance.now();
    panel.classList.add("shown");
    return new Promise((resolve) => {
      const finish = (place) => {
        panel.classList.remove("shown");
        panel.removeEventListener("click", click);
        document.removeEventListener("keydown", key);
        resolve({ place, response_ms: performance.now() - shown });
      };
      const click = (event) => {
        const button = event.target.closest("button[data-place]");
        if (button) finish(Number(button.dataset.place));
      };
      const key = (event) => {
        if (!event.repeat && (event.key === "1" || event.key === "2")) finish(Number(event.key) - 1);
      };
      panel.addEventListener("click", click);
      document.addEventListener("keydown", key);
    });
  }

  async function runTrial(trial, rater) {
    const flipped = hash(`${rater}|${trial.trial}`) % 2 === 1;
    const shown = flipped ? [...trial.images].reverse() : [...trial.images];
    const frame = await measureFrame();
    let pair = await showPair(shown, frame);
    let restarts = 0;
    if (pair.interrupted) { // once more, in the same order
      restarts = 1;
      await untilVisible();
      pair = await showPair(shown, frame);
    }
    const { place, response_ms } = await answer();
    return {
      trial: trial.trial, shown, fake: shown[place], response_ms, restarts,
      interrupted: pair.interrupted, exposures: pair.exposures,
    };
  }

  function finish(result) {
    const text = JSON.stringify(result, null, 1);
    window.studyResult = result; // for a page that embeds this one
    const link = element("save");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `answers-form${result.form}-${result.rater.replace(/[^A-Za-z0-9_-]/g, "_")}.json`;
    element("trial").hidden = true;
    element("end").hidden = false;
    link.focus();
  }

  async function run() {
    const rater = element("rater").value.trim();
    if (!rater) {
      element("problem").textContent = "Please enter the rater name that you were given, or any name of your own.";
      element("rater").focus();
      return;
    }
    const form = chosenForm();
    element("welcome").hidden = true;
    element("trial").hidden = false;
    const trials = [];
    for (const [index, trial] of form.trials.entries()) {
      element("count").textContent = `Pair ${index + 1} of ${form.trials.length}`;
      trials.push(await runTrial(trial, rater));
    }
    finish({
      form: form.form, rater, finished: new Date().toISOString(), user_agent: navigator.userAgent,
      device_pixel_ratio: window.devicePixelRatio, screen: [screen.width, screen.height], trials,
    });
  }

  stage.style.width = `${study.width}px`;
  stage.style.height = `${study.height}px`;
  for (const form of study.forms) element("form").add(new Option(String(form.form + 1), String(form.form)));
  if (query.has("form")) element("form").value = String(Number(query.get("form")) - 1);
  if (!element("form").value) element("form").selectedIndex = 0;
  element("rater").value = query.get("rater") || "";
  element("form").addEventListener("change", () => load(chosenForm()));
  element("start").addEventListener("click", run);
  load(chosenForm());
})();
