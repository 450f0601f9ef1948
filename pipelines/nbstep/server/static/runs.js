// The list of runs, kept up to date: the page is fetched again, and its list takes the place of this one.

const PAUSE_MILLISECONDS = 3000;

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById("runs");
  const older = document.getElementById("runs");
  if (!newer || newer.innerHTML === older.innerHTML) return;
  const focused = older.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const scrolled = older.querySelector(".scroll")?.scrollLeft ?? 0;
  older.replaceWith(document.adoptNode(newer));
  newer.querySelector(".scroll")?.scrollTo({ left: scrolled });
  if (focused) newer.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

for (;;) {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  if (document.visibilityState === "visible") await refresh().catch(() => {});
}
