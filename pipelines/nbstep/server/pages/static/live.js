// A page that keeps itself up to date: it is fetched again, and what is live in it takes the place of what was.
// What takes the server long is asked for less often. Nothing is asked while nobody looks, nor once all is final.

import { tellStale } from "./stale.js";
import { localTimes } from "./times.js";

const LONGEST_SECONDS = 60;
const SHARE = 4; // of the time, at most a fifth is spent on answers

let shown = document.getElementById("live").innerHTML;
let failures = 0;

function nameOf(element) {
  return element.getAttribute("href") ?? element.getAttribute("value") ?? element.textContent;
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
  localTimes(newer);
  newer.querySelector(".scroll")?.scrollTo({ left: scrolled });
  if (focused) [...newer.querySelectorAll("a, input, button")].find((each) => nameOf(each) === focused)?.focus();
}

async function refresh(older) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.status === 401 ? "you are signed out" : `the server says ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById("live");
  if (!newer || newer.innerHTML === shown || isSelected(older)) return;
  shown = newer.innerHTML;
  replace(older, newer);
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
