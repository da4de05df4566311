// Shows one pair, timed by animation frames, and measures what was really shown.

const EXPOSURE_MS = 1000;
const BLANK_MS = 600;
const FIXATION_MS = 600;

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
