// The page of a run under way, kept up to date by the run's events until its end, when the page is loaded anew.

const MOST_LINES = 2000;
const AGAIN_MILLISECONDS = 10000;
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const live = document.getElementById("live");
const log = document.getElementById("log");
const cells = document.getElementById("cells");
const SEVERITIES = ["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"];
const find = log.dataset.find.toLowerCase();
const least = SEVERITIES.indexOf(log.dataset.severity);
let last = live.dataset.last;
let waiting = [];

function visible(text) {
  return String(text ?? "").replace(INVISIBLE, "\ufffd");
}

function clock(time) {
  const moment = new Date(time);
  if (!time || isNaN(moment)) return "";
  const two = (number) => String(number).padStart(2, "0");
  const parts = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
  return `${parts}.${String(moment.getMilliseconds()).padStart(3, "0")} `;
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
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function showCell(line) {
  const index = line.cell?.index;
  if (!Number.isInteger(index)) return;
  const started = line.event === "cell-started";
  let row = cells.querySelector(`tr[data-cell="${index}"]`);
  if (!row) {
    row = document.getElementById("cell").content.firstElementChild.cloneNode(true);
    row.dataset.cell = index;
    row.querySelector("th").textContent = index;
    const after = [...cells.rows].find((other) => Number(other.dataset.cell) > index);
    cells.insertBefore(row, after ?? null);
    cells.closest("section").hidden = false;
  }
  const [title, state, time] = row.querySelectorAll("td");
  title.textContent = visible(line.title);
  state.textContent = started ? "running" : visible(line.state);
  time.textContent = started ? "" : duration(line.seconds);
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
  if (line.event === "run-started") cells.replaceChildren();
  if (line.event === "cell-started" || line.event === "cell-finished") showCell(line);
  if (SEVERITIES.indexOf(line.severity ?? "INFO") < least) return;
  const text = forPeople(line);
  if (!text.toLowerCase().includes(find)) return;
  if (waiting.push(text) === 1) setTimeout(showLines, 50);
  if (waiting.length > MOST_LINES) waiting.shift();
}

function takeState(event) {
  const standing = JSON.parse(event.data);
  const state = live.querySelector(".state");
  state.className = `state ${standing.state}`;
  state.textContent = standing.state;
  live.querySelector(".words").textContent = visible(standing.words);
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
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MILLISECONDS);
  });
}

log.scrollTop = log.scrollHeight;
listen();
