// The list of runs, kept up to date: the page is fetched again, and its list takes the place of this one.

const PAUSE_MILLISECONDS = 3000;

function nameOf(element) {
  return element.getAttribute("href") ?? element.getAttribute("value") ?? element.textContent;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById("runs");
  const older = document.getElementById("runs");
  if (!newer || newer.innerHTML === older.innerHTML) return;
  const focused = older.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const chosen = new Set([...older.querySelectorAll("input:checked")].map((box) => box.value));
  for (const box of newer.querySelectorAll("input[name=run]")) box.checked = chosen.has(box.value);
  const scrolled = older.querySelector(".scroll")?.scrollLeft ?? 0;
  older.replaceWith(document.adoptNode(newer));
  newer.querySelector(".scroll")?.scrollTo({ left: scrolled });
  if (focused) [...newer.querySelectorAll("a, input, button")].find((each) => nameOf(each) === focused)?.focus();
}

for (;;) {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  if (document.visibilityState === "visible") await refresh().catch(() => {});
}
