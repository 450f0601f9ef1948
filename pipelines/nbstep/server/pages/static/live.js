// A page that keeps itself up to date: it is fetched again, and what is live in it takes the place of what was.
// What takes the server long is asked for less often. Nothing is asked while nobody looks, nor once all is final.

import { tellStale } from "./stale.js";
import { localTimes } from "./times.js";

const LONGEST_SECONDS = 60;
const SHARE = 4; // of the time, at most a fifth is spent on answers

const FOCUSABLE = "a, input, button, [tabindex]";

let shown = contentOf(document.getElementById("live"));
let failures = 0;

// All but when it was listed, which is another time in each answer.
function contentOf(live) {
  const copy = live.cloneNode(true);
  copy.querySelector("#listed")?.remove();
  return copy.innerHTML;
}

// What an element is found by again: rows come and go, and several of them may lead to one address.
function nameOf(element) {
  const own = ["href", "value", "aria-label"].map((name) => element.getAttribute(name)).find((value) => value !== null);
  return JSON.stringify([element.closest("tr")?.querySelector("th")?.textContent, own ?? element.textContent]);
}

function isSelected(element) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(element, true);
}

function replace(older, newer) {
  const focused = older.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const chosen = new Set([...older.querySelectorAll("input:checked")].map((box) => box.value));
  for (const box of newer.querySelectorAll("input[name=run]")) box.checked = chosen.has(box.value);
  const scrolled = older.querySelector(".scroll")?.scrollLeft ?? 0;
  older.replaceWith(document.adoptNode(newer));
  newer.querySelector(".scroll")?.scrollTo({ left: scrolled });
  if (focused) {
    const same = [...newer.querySelectorAll(FOCUSABLE)].find((each) => nameOf(each) === focused);
    same?.focus({ preventScroll: true });
  }
}

async function refresh(older) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.status === 401 ? "you are signed out" : `the server says ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById("live");
  if (!newer || isSelected(older)) return;
  localTimes(newer);
  const content = contentOf(newer);
  if (content !== shown) {
    shown = content;
    replace(older, newer);
  } else if (newer.querySelector("#listed")) {
    older.querySelector("#listed").replaceWith(document.adoptNode(newer.querySelector("#listed")));
  }
}

let pause = 0;
for (;;) {
  const live = document.getElementById("live");
  if (!live.dataset.seconds) break;
  pause = Math.min(Math.max(live.dataset.seconds, pause) * 2 ** failures, LONGEST_SECONDS);
  await new Promise((resolve) => setTimeout(resolve, pause * 1000));
  if (document.visibilityState !== "visible") continue;
  const begun = performance.now();
  try {
    await refresh(live);
    failures = 0;
    tellStale("");
  } catch (error) {
    failures += 1;
    tellStale(error instanceof TypeError ? "the server does not answer" : error.message);
  }
  pause = (SHARE * (performance.now() - begun)) / 1000;
}
