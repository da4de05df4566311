// Which pairs a rater sees the other way around.

// Of a task that several raters get: whose hash turns pairs around. Our server hands out orders instead.
const unknown = () => [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
let flipName = study.mode === "server" ? "" : assignment || (study.mode === "static" ? "" : unknown());

// FNV-1a, finished as MurmurHash3 does so that every bit depends on every byte. Blind to which photo is real, and the
// same for one rater and trial whenever the page is opened.
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

const isFlipped = (trial) => flipName !== "" && hash(flipName + "|" + trial.trial) % 2 === 1;
