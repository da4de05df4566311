// The rater page: loads a form's photos, shows each pair, times every exposure by animation frames, hands in answers.
// It knows no answer that counts: which photo is real stands only in the study's private key. Practice pairs say it.
// No template literals here: batch services would fill in their placeholders.
"use strict";
(() => {
  const EXPOSURE_MS = 1000;
  const BLANK_MS = 600;
  const FIXATION_MS = 600;
  const PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"; // what Mechanical Turk says to a worker who only looks

  const element = (id) => document.getElementById(id);
  const study = JSON.parse(element("study").textContent);
  const query = new URLSearchParams(location.search);
  const assignment = query.get("assignmentId") || "";
  const stage = element("stage");
  const forms = study.forms.length ? study.forms : [formOfTheTask()];
  // Of a task that several raters get: whose hash turns pairs around. Our server hands out orders instead.
  const unknown = () => [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
  let flipName = study.mode === "server" ? "" : assignment || (study.mode === "static" ? "" : unknown());
  let images = new Map(); // file name -> <canvas> with the photo, on the stage
  let loading = 0; // number of the newest load; an older one that ends late is ignored
  let loaded = false;
  let consented = "";

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

  // FNV-1a, finished as MurmurHash3 does so that every bit depends on every byte. Blind to which photo is real, and the
  // same for one rater and trial whenever the page is opened.
  function hash(text) {
    let value = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return (value ^ (value >>> 16)) >>> 0;
  }

  const codeOf = (name) => window.raterCode(study.study, name);

  function step(id) {
    for (const section of document.querySelectorAll("[data-step]")) section.hidden = section.id !== id;
    element("title").hidden = ["trial", "feedback"].includes(id);
    say("");
  }

  const chosenForm = () => forms.find((form) => String(form.form) === element("form").value) || forms[0];

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

  // A photo's rows stand between rows of random bytes, which keep everything but pixels from telling photos apart.
  // Files of older studies have no such rows.
  function drawn(image) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: study.width, height: study.height });
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    if (image.naturalHeight !== 2 * study.height) pen.drawImage(image, 0, 0);
    else for (let y = 0; y < study.height; y++) pen.drawImage(image, 0, 2 * y + 1, study.width, 1, 0, y, study.width, 1);
    return canvas;
  }

  async function load(form) {
    const turn = ++loading;
    const start = element("start");
    loaded = false;
    refreshStart();
    stage.querySelectorAll("canvas").forEach((image) => image.remove());
    images = new Map();
    const names = form.trials.flatMap((trial) => trial.images);
    for (const [done, name] of names.entries()) {
      let image;
      for (let attempt = 0; ; attempt++) {
        image = new Image();
        image.src = study.images + name;
        try {
          await image.decode();
          break;
        } catch {
          if (turn !== loading) return;
          if (attempt === 2) {
            say("Photo " + (done + 1) + " of " + names.length + " could not be loaded. Please check your connection and reload this page.");
            return;
          }
          await pause(500 * (attempt + 1));
        }
      }
      if (turn !== loading) return;
      images.set(name, stage.appendChild(drawn(image)));
      start.textContent = "Loading the photos… " + (done + 1) + " of " + names.length;
    }
    start.textContent = "Start (" + form.trials.length + " pairs)";
    loaded = true;
    refreshStart();
  }

  // Waits for whole frames: until the frame that is nearest to `ms` after `since`; counts frames that came late.
  async function wait(since, ms, frame) {
    let now = since;
    let dropped = 0;
    while (now - since < ms - frame / 2) {
      const next = await nextFrame();
      if (next - now > 1.5 * frame) dropped += Math.round((next - now) / frame) - 1;
      now = next;
    }
    return { now, dropped };
  }

  async function measureFrame() {
    const times = [await nextFrame()];
    for (let i = 0; i < 10; i++) times.push(await nextFrame());
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return gaps[5];
  }

  // Shows one element for some time; returns what really happened.
  async function expose(thing, ms, frame) {
    thing.classList.add("shown");
    const onset = await nextFrame();
    const { now, dropped } = await wait(onset, ms, frame);
    thing.classList.remove("shown");
    return { planned_ms: ms, actual_ms: now - onset, frame_ms: frame, dropped };
  }

  async function showPair(names, frame) {
    let interrupted = document.hidden;
    const note = () => { interrupted = true; };
    document.addEventListener("visibilitychange", note);
    window.addEventListener("blur", note);
    await expose(element("fixation"), FIXATION_MS, frame);
    await wait(await nextFrame(), BLANK_MS, frame);
    const first = await expose(images.get(names[0]), EXPOSURE_MS, frame);
    await wait(await nextFrame(), BLANK_MS, frame);
    const second = await expose(images.get(names[1]), EXPOSURE_MS, frame);
    document.removeEventListener("visibilitychange", note);
    window.removeEventListener("blur", note);
    return { exposures: [first, second], interrupted };
  }

  async function untilVisible() {
    while (document.hidden) await pause(200);
  }

  const PLACE_OF_KEY = { f: 0, 1: 0, j: 1, 2: 1 };

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
        const place = PLACE_OF_KEY[event.key.toLowerCase()];
        if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || place === undefined) return;
        event.preventDefault(); // or the last answer's letter would stand in the comment
        finish(place);
      };
      panel.addEventListener("click", click);
      document.addEventListener("keydown", key);
    });
  }

  async function runTrial(trial) {
    stage.dataset.width = String(stage.clientWidth); // less than the photo's width on a narrow screen
    const flipped = flipName !== "" && hash(flipName + "|" + trial.trial) % 2 === 1;
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

  async function giveFeedback(trial, done, last) {
    element("verdict").textContent = done.fake === trial.fake ? "Right!" : "Not this time: it was the other one.";
    element("both").replaceChildren(...done.shown.map((name, place) => {
      const figure = document.createElement("figure");
      const image = images.get(name).cloneNode();
      image.getContext("2d").drawImage(images.get(name), 0, 0);
      const words = document.createElement("figcaption");
      const isFake = name === trial.fake;
      words.textContent = (place ? "Second" : "First") + ": " + (isFake ? "fake" : "real");
      image.classList.remove("shown");
      image.setAttribute("role", "img");
      image.setAttribute("aria-label", words.textContent);
      figure.className = isFake ? "fake" : "real";
      figure.append(image, words);
      return figure;
    }));
    element("onward").textContent = last ? "Go on" : "Next practice pair";
    step("feedback");
    element("onward").focus();
    await pressed("onward");
  }

  async function runTrials(form, save, before) {
    const answered = new Set([...(study.answered || []), ...before.map((done) => done.trial)]);
    const left = form.trials.filter((trial) => !answered.has(trial.trial));
    const practice = left.filter((trial) => trial.practice);
    const rated = left.filter((trial) => !trial.practice);
    const all = form.trials.filter((trial) => !trial.practice).length;
    const trials = [...before];
    const show = async (trial, words, value, most) => {
      element("count").textContent = words;
      Object.assign(element("progress"), { value, max: most });
      step("trial");
      const done = await runTrial(trial);
      await save(done);
      trials.push(done);
      return done;
    };
    for (const [index, trial] of practice.entries()) {
      const done = await show(trial, "Practice " + (index + 1) + " of " + practice.length, index, practice.length);
      await giveFeedback(trial, done, index + 1 === practice.length);
    }
    if (practice.length) {
      step("pause");
      element("begin").focus();
      await pressed("begin");
    }
    for (const [index, trial] of rated.entries()) {
      const place = all - rated.length + index;
      await show(trial, "Pair " + (place + 1) + " of " + all, place, all);
    }
    return trials;
  }

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

  // The static page goes on where it was. A browser may refuse to keep anything; then it begins anew.
  const keep = (form, rater) => "coltran-study|" + study.study + "|" + form + "|" + rater + (study.pilot ? "|pilot" : "");
  function remembered(form, rater) {
    try {
      return JSON.parse(localStorage.getItem(keep(form, rater))) || [];
    } catch {
      return [];
    }
  }
  async function remember(form, rater, done) {
    try {
      localStorage.setItem(keep(form, rater), JSON.stringify([...remembered(form, rater), done]));
    } catch { /* nothing is kept */ }
  }
  function forget(result) {
    try {
      localStorage.removeItem(keep(result.form, result.rater));
    } catch { /* nothing was kept */ }
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
    element("form").addEventListener("change", () => load(chosenForm()));
    document.querySelectorAll("input[name=vision]").forEach((box) => box.addEventListener("change", refreshStart));
    element("start").addEventListener("click", run);
    load(chosenForm());
    step("consent");
    await pressed("agree");
    consented = new Date().toISOString();
    step("welcome");
    refreshStart();
  }

  main();
})();
