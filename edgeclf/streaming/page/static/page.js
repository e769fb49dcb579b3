// Shows the events of /api/events and the pictures of /stream.mjpg. Nothing is kept here that a reload would not bring back.

import { HistoryChart } from "/chart.js";
import { Labelling } from "/labelling.js";
import { PictureStream } from "/stream.js";
import { visible } from "/visible.js";

const SILENCE = 6000; // milliseconds without an event; the server sends one every two seconds in any case
const STALE = 2000; // milliseconds without a result, after which the picture counts as old
const element = (id) => document.getElementById(id);
const percent = (fraction) => `${(fraction * 100).toFixed(1)} %`;

const chart = new HistoryChart(element("chart"));
const labelling = new Labelling();
const stream = new PictureStream(element("picture"), pictureShown, (text) => notice("stream", text));
const now = { frozen: false, sequence: 0, fps: 0, source: null, shown: null };
const received = { event: performance.now(), result: performance.now(), serverTime: 0, at: 0 };
const notices = {};
let events = null;
let retry = null;

function connect() {
  disconnect();
  received.event = performance.now();
  events = new EventSource("/api/events");
  events.addEventListener("state", (event) => begin(JSON.parse(event.data)));
  events.onmessage = (event) => update(JSON.parse(event.data));
  events.onerror = () => lost(events.readyState === EventSource.CLOSED);
  if (!now.frozen) stream.start();
}

function disconnect() {
  clearTimeout(retry);
  if (events) events.close();
  events = null;
  stream.stop();
}

function lost(over) {
  notice("connection", "Connection lost. Trying again …");
  greyed();
  if (!over) return;
  clearTimeout(retry);
  retry = setTimeout(async () => {
    const response = await fetch("/api/state").catch(() => null);
    if (response && response.status === 401) location.reload();
    else connect();
  }, 2000);
}

function begin(state) {
  element("model").textContent = visible(state.model);
  chart.begin(state.history, state.labels);
  now.sequence = 0;
  if (state.collecting) labelling.start();
  update(state);
}

function update(state) {
  received.event = performance.now();
  received.serverTime = Date.parse(state.time) / 1000;
  received.at = received.event;
  notice("connection", "");
  showSource(state.source);
  showProblems(state.problems);
  showNotes(state.notes);
  if (state.sequence !== now.sequence) {
    now.sequence = state.sequence;
    received.result = received.event;
    if (state.result) {
      now.fps = state.result.fps;
      chart.add(Date.parse(state.result.time) / 1000, state.result.label, state.result.probability);
    }
  }
  if (!now.frozen) showResult(state);
  greyed();
}

function showResult(state) {
  if (state.changes) showChanges(state.changes);
  showBoard(state.board);
  showRegion(state.picture);
  const counts = state.counts;
  element("counts").textContent =
    `${counted(counts.frames_classified, "frame")} classified, ` +
    `${counts.frames_dropped.toLocaleString()} dropped for newer ones, ` +
    counted(state.source.reconnects, "reconnect");
  const result = state.result;
  if (!result) return;
  now.shown = result;
  const label = visible(result.label);
  if (element("label").textContent !== label) element("label").textContent = label;
  element("label").classList.toggle("unknown", result.label === "unknown");
  document.title = `${label} – edgeclf live`;
  element("probability").textContent = describeProbability(result);
  element("fps").textContent = result.fps.toFixed(1);
  element("frame-age").textContent = `${result.frame_age_ms.toFixed(0)} ms`;
  element("inference").textContent = `${result.inference_ms.toFixed(1)} ms`;
  showTop(result.top);
}

function describeProbability(result) {
  const best = result.top.length ? result.top[0].label : "unknown"; // the class «none of these» is called unknown too
  if (result.label !== "unknown" || (result.probability && best === "unknown")) return percent(result.probability);
  if (!result.probability) return "no best guess"; // the model computes no numbers
  return `best guess ${visible(result.top[0].label)}, ${percent(result.probability)}`;
}

function counted(number, word) {
  return `${number.toLocaleString()} ${word}${number === 1 ? "" : "s"}`;
}

function showTop(top) {
  const list = element("top");
  while (list.children.length > top.length) list.lastChild.remove();
  while (list.children.length < top.length) {
    const row = document.createElement("li");
    row.innerHTML = '<span class="name"></span><span class="percent"></span><span class="track" aria-hidden="true"><span></span></span>';
    list.append(row);
  }
  top.forEach((score, place) => {
    const [name, probability, track] = list.children[place].children;
    name.textContent = visible(score.label);
    probability.textContent = percent(score.probability);
    track.firstChild.style.width = percent(score.probability).replace(" ", "");
  });
}

function showChanges(changes) {
  const rows = changes.slice().reverse().map((change) => {
    const row = document.createElement("li");
    const when = document.createElement("time");
    when.dateTime = change.time;
    when.textContent = new Date(change.time).toLocaleTimeString();
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = visible(change.label);
    const probability = document.createElement("span");
    probability.className = "percent";
    probability.textContent = percent(change.probability);
    row.append(when, name, probability);
    return row;
  });
  element("changes").replaceChildren(...rows);
}

function showBoard(board) {
  const has = { temperature: false, clock: false, throttled: false };
  if (board) {
    has.temperature = board.temperature_celsius !== null;
    if (has.temperature) element("temperature").textContent = `${board.temperature_celsius.toFixed(0)} °C`;
    has.clock = board.clock_mhz !== null;
    if (has.clock) element("clock").textContent = `${board.clock_mhz.toFixed(0)} MHz`;
    has.throttled = board.throttled !== null;
    if (has.throttled) element("throttled").textContent = board.throttled.join(", ") || "no";
    element("throttled").parentElement.classList.toggle("alarm", Boolean(board.throttled?.length));
  }
  for (const [id, shown] of Object.entries(has)) element(id).parentElement.hidden = !shown;
}

function showRegion(picture) {
  if (!picture) return;
  element("view").style.setProperty("--ratio", picture.width / picture.height);
  element("region").toggleAttribute("hidden", !picture.box); // an SVG element has no property for it
  if (!picture.box) return;
  const [left, top, right, bottom] = picture.box;
  const { width, height } = picture;
  element("region").setAttribute("viewBox", `0 0 ${width} ${height}`);
  element("region-shade").setAttribute("d", `M0 0H${width}V${height}H0ZM${left} ${top}H${right}V${bottom}H${left}Z`);
  const box = element("region-box");
  for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) {
    box.setAttribute(name, value);
  }
}

function showSource(source) {
  now.source = source;
  element("source").dataset.status = source.status;
  element("source-name").textContent = visible(source.name);
  element("source-status").textContent = source.status;
  const words = {
    lost: `${source.name} is lost`,
    stalled: `${source.name} gives no pictures`,
    ended: `${source.name} has ended`,
  };
  const text = words[source.status] ? [words[source.status], source.detail].filter(Boolean).map(visible).join(": ") : "";
  const banner = element("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  banner.dataset.status = source.status;
}

function showProblems(problems) {
  const list = element("problems");
  const text = JSON.stringify(problems);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(
    ...Object.entries(problems).map(([part, line]) => {
      const row = document.createElement("li");
      const name = document.createElement("strong");
      name.textContent = part;
      row.append(name, `: ${visible(line)}`);
      return row;
    }),
  );
}

function showNotes(notes) {
  const list = element("notes");
  const text = JSON.stringify(notes);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(
    ...notes.map((line) => {
      const row = document.createElement("li");
      row.textContent = visible(line);
      return row;
    }),
  );
}

function notice(kind, text) {
  notices[kind] = text;
  const newest = notices.connection || notices.stream || "";
  const place = element("connection");
  if (place.textContent !== newest) place.textContent = newest;
  place.hidden = !newest;
}

function greyed() {
  const silent = performance.now() - received.result > Math.max(STALE, now.fps > 0 ? 3000 / now.fps : 0);
  const unwell = now.source && ["lost", "stalled"].includes(now.source.status);
  const over = now.source && now.source.status === "ended"; // the last picture is the last: nothing is late
  const stale = !now.frozen && Boolean((silent && !over) || unwell || notices.connection);
  element("view").classList.toggle("stale", stale);
  element("result").classList.toggle("stale", stale);
  if (stale && now.shown) {
    element("frame-age").textContent = `${Math.round((performance.now() - received.result) / 1000)} s`;
  }
}

function pictureShown() {
  element("picture").hidden = false;
  element("waiting").hidden = true;
}

function freeze() {
  now.frozen = !now.frozen;
  const button = element("freeze");
  button.textContent = now.frozen ? "Live again" : "Freeze";
  button.setAttribute("aria-pressed", String(now.frozen));
  element("frozen-mark").hidden = !now.frozen;
  if (now.frozen) stream.stop();
  else connect();
  greyed();
}

function snapshot(event) {
  if (!now.frozen || !stream.blob) return; // the link leads to the newest picture in full size
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(stream.blob);
  link.download = fileName(now.shown);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// As the server names the newest picture: `edgeclf-20260131-142501-120-cat-93.jpg`, in local time.
function fileName(shown) {
  const date = shown ? new Date(shown.time) : new Date();
  const part = (number, digits = 2) => String(number).padStart(digits, "0");
  const day = `${date.getFullYear()}${part(date.getMonth() + 1)}${part(date.getDate())}`;
  const time = `${part(date.getHours())}${part(date.getMinutes())}${part(date.getSeconds())}`;
  const label = shown ? shown.label.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "class" : "picture";
  const percent = shown ? `-${(shown.probability * 100).toFixed(0)}` : "";
  return `edgeclf-${day}-${time}-${part(date.getMilliseconds(), 3)}-${label}${percent}.jpg`;
}

function tick() {
  if (document.hidden) return;
  if (events && performance.now() - received.event > SILENCE) {
    lost(false);
    connect();
  }
  greyed();
  if (now.frozen || !received.at) return;
  const over = now.source && now.source.status === "ended"; // the last minute of the video stays
  chart.draw((over && chart.end()) || received.serverTime + (performance.now() - received.at) / 1000);
}

element("freeze").addEventListener("click", freeze);
element("snapshot").addEventListener("click", snapshot);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    disconnect();
    labelling.stop();
  } else {
    connect();
  }
});
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", (event) => event.persisted && connect());
setInterval(tick, 200);
if (!document.hidden) connect();
