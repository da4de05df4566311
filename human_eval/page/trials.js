// Leads through a form: its practice with feedback, then all that is rated, one question after each pair.

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
  const shown = isFlipped(trial) ? [...trial.images].reverse() : [...trial.images];
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
