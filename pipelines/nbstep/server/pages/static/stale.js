// Says at the end of a page since when, and why, it is not kept up to date.

export function tellStale(problem) {
  const stale = document.getElementById("stale");
  if (!problem) stale.textContent = "";
  else if (!stale.textContent) {
    stale.textContent = `Since ${new Date().toLocaleTimeString()} this page is not kept up to date: ${problem}.`;
  }
}
