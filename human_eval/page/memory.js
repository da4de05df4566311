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
