// Turkle's REST API says how many characters its results have where HTTP wants bytes, so that a download is cut by one
// byte for every letter beyond ASCII. As JSON's own escapes, such letters in a comment are ASCII and mean the same.
(() => {
  const field = document.getElementById("result");
  const own = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  const escaped = (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0");
  Object.defineProperty(field, "value", {
    get() { return own.get.call(field); },
    set(text) { own.set.call(field, text.replace(/[^\x00-\x7f]/g, escaped)); },
  });
})();
