// The page of a run under way, kept up to date by the run's events until its end, when the page is loaded anew.

import { tellStale } from "./stale.js";

const MOST_LINES = 2000;
const AGAIN_MILLISECONDS = 10000;
const SAID = 3; // lines of its output that stand beside a cell
const LONGEST = 200;
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const live = document.getElementById("live");
const log = document.getElementById("log");
const cells = document.getElementById("cells");
const SEVERITIES = ["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"];
const STATES = ["succeeded", "failed", "timed_out", "interrupted", "not_run", "skipped"];
const find = log.dataset.find.toLowerCase();
const offset = Number(log.dataset.offset) * 60000; // the lines that were there already are in the server's zone
const least = SEVERITIES.indexOf(log.dataset.severity);
let last = live.dataset.last;
let waiting = [];
const said = new Map(); // of each cell, by its index: the last lines of its output, and the stream that overwrites them
const changed = new Set();
let timer = null;

for (const row of cells.rows) {
  const text = row.querySelector(".said").textContent;
  said.set(Number(row.dataset.cell), { lines: text ? text.split("\n") : [], overwritten: "" });
}

function visible(text) {
  return String(text ?? "").replace(INVISIBLE, "\ufffd");
}

function clock(time) {
  const moment = new Date(time);
  if (!time || isNaN(moment)) return "";
  return `${new Date(moment.getTime() + offset).toISOString().slice(11, 23)} `;
}

function forPeople(line) {
  const at = clock(line.time);
  const cell = line.cell?.index;
  if (line.traceback?.length) return line.traceback.map((text) => `${at}[${cell}:error] ${visible(text)}`).join("\n");
  if (!line.time) return visible(line.message);
  const isOutput = line.stream != null || line.event === "output";
  const level = !isOutput && ["WARNING", "ERROR"].includes(line.severity) ? ` ${line.severity}:` : "";
  return `${at}${isOutput ? `[${cell}]` : "nbstep:"}${level} ${visible(line.message)}`;
}

function duration(seconds) {
  if (typeof seconds !== "number") return "";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function rowOf(index) {
  const known = cells.querySelector(`tr[data-cell="${index}"]`);
  if (known) return known;
  const row = document.getElementById("cell").content.firstElementChild.cloneNode(true);
  row.dataset.cell = index;
  row.querySelector("th").textContent = index;
  const after = [...cells.rows].find((other) => Number(other.dataset.cell) > index);
  cells.insertBefore(row, after ?? null);
  cells.closest("section").hidden = false;
  return row;
}

function showCell(line) {
  const started = line.event === "cell-started";
  if (!started && !STATES.includes(line.state)) return;
  const row = rowOf(line.cell.index);
  const [source, state, time] = row.querySelectorAll("td");
  source.querySelector("span").textContent = visible(line.title);
  state.className = started ? "running" : line.state;
  state.textContent = state.className.replace("_", " ");
  time.textContent = started ? "" : duration(line.seconds);
  if (!started) return;
  said.delete(line.cell.index);
  row.querySelector(".said").textContent = "";
}

function showOutput(line) {
  const index = line.cell.index;
  const { lines, overwritten } = said.get(index) ?? { lines: [], overwritten: "" };
  let text = visible(line.traceback?.length ? line.traceback.at(-1) : line.message);
  if (lines.length && line.continues) text = lines.pop() + text;
  else if (lines.length && overwritten && overwritten === line.stream) lines.pop();
  lines.push(text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);
  said.set(index, { lines: lines.slice(-SAID), overwritten: line.progress ? (line.stream ?? "") : "" });
  changed.add(index);
}

function show() {
  timer = null;
  for (const index of changed) rowOf(index).querySelector(".said").textContent = said.get(index).lines.join("\n");
  changed.clear();
  if (waiting.length) showLines();
}

function showLines() {
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(...waiting.map((text) => `${text}\n`));
  waiting = [];
  while (log.childNodes.length > MOST_LINES) log.firstChild.remove();
  log.closest("section").classList.add("told");
  if (following) log.scrollTop = log.scrollHeight;
}

function takeLine(event) {
  const line = JSON.parse(event.data);
  last = event.lastEventId || last;
  timer ??= setTimeout(show, 50);
  if (line.event === "run-started") {
    for (const each of [said, changed]) each.clear();
    cells.replaceChildren();
  }
  if (Number.isInteger(line.cell?.index)) {
    if (line.event === "cell-started" || line.event === "cell-finished") showCell(line);
    else if (line.event === "output" || (!line.event && line.stream)) showOutput(line);
  }
  if (SEVERITIES.indexOf(line.severity ?? "INFO") < least) return;
  const text = forPeople(line);
  if (!text.toLowerCase().includes(find)) return;
  waiting.push(text);
  if (waiting.length > MOST_LINES) waiting.shift();
}

function takeState(event) {
  const standing = JSON.parse(event.data);
  const state = live.querySelector(".state");
  state.className = `state ${standing.state}`;
  state.textContent = standing.state;
  const rest = standing.words.startsWith(standing.state) ? standing.words.slice(standing.state.length) : standing.words;
  live.querySelector(".words").textContent = visible(rest.replace(/^:/, "").trim());
  const { progress } = standing;
  live.querySelector(".progress").textContent = progress ? `${progress.ended} of ${progress.cells} cells` : "";
  live.querySelector(".problems").textContent = standing.problems.map(visible).join("\n");
}

function listen() {
  const address = new URL(live.dataset.events, location.href);
  if (last) address.searchParams.set("after", last);
  const source = new EventSource(address);
  source.addEventListener("line", takeLine);
  source.addEventListener("state", takeState);
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("problem", (event) => {
    source.close();
    live.querySelector(".problems").textContent = visible(JSON.parse(event.data).detail);
    setTimeout(listen, AGAIN_MILLISECONDS);
  });
  source.addEventListener("open", () => tellStale(""));
  source.addEventListener("error", () => {
    tellStale("the server does not answer, or you are signed out");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MILLISECONDS);
  });
}

log.scrollTop = log.scrollHeight;
listen();
