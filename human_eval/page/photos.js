// Loads a form's photos onto the stage, where each waits until it is shown.

let images = new Map(); // file name -> <canvas> with the photo, on the stage
let loading = 0; // number of the newest load; an older one that ends late is ignored
let loaded = false;

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

// Loads a form's photos; `changed` is called whenever `loaded` changes.
async function load(form, changed) {
  const turn = ++loading;
  const start = element("start");
  loaded = false;
  changed();
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
  changed();
}
