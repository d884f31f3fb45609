// The live page: asks /metrics once a second, and shows the differences between two answers.
"use strict";

const POLL_MS = 1000;
const LOST_MS = 5000;
const HISTORY_MS = 5 * 60 * 1000;
const WINDOW_MS = 60 * 1000;
const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["hit", "miss", "set", "other"];

const byId = (id) => document.getElementById(id);
const show = (id, text) => { byId(id).textContent = text; };

// Samples: the figures of each answer, the oldest first. A null is a gap: the server did not answer, or
// has been started again, so no difference across it means anything.
let samples = [];
let lastAnswer = performance.now();
let pointedAt = null;

// Numbers as text.

const NARROW = "\u202f";
const group = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const whole = (n) => group.format(n).replaceAll(",", NARROW);

function compact(n) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= size * 9.9995) return (n / size).toPrecision(n >= size * 999.5 ? 4 : 3) + NARROW + unit;
  }
  return n >= 9.95 || n === 0 ? whole(n) : n.toFixed(1);
}

function bytes(n) {
  for (const [unit, power] of [["GiB", 30], ["MiB", 20], ["KiB", 10]]) {
    const size = 2 ** power;
    if (n >= size) return (n / size).toFixed(n >= 100 * size ? 0 : 1) + NARROW + unit;
  }
  return whole(n) + NARROW + "B";
}

function duration(s) {
  if (s === Infinity) return "above 4" + NARROW + "s";
  const [unit, size] = s >= 1 ? ["s", 1] : s >= 1e-3 ? ["ms", 1e-3] : ["µs", 1e-6];
  const n = s / size;
  return +n.toPrecision(n >= 100 ? 3 : 2) + NARROW + unit;
}

function span(s) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => s >= size);
  if (first < 0) return "0" + NARROW + "s";
  const [unit, size] = units[first];
  const text = Math.floor(s / size) + NARROW + unit;
  if (first + 1 >= units.length || first > 1) return text;
  const [next, nextSize] = units[first + 1];
  return text + " " + Math.floor((s % size) / nextSize) + NARROW + next;
}

const percent = (part, all) => (all > 0 ? (100 * part) / all : 0);

// The figures of one answer.

function parse(text) {
  const figures = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const end = line.lastIndexOf(" ");
    figures.set(line.slice(0, end), Number(line.slice(end + 1)));
  }
  return figures;
}

function buckets(figures, name) {
  const found = [];
  for (const [key, count] of figures) {
    if (!key.startsWith(name + "_bucket{")) continue;
    const bound = key.slice(key.indexOf('"') + 1, key.lastIndexOf('"'));
    const below = found.length ? found[found.length - 1].below : 0;
    found.push({ bound: bound === "+Inf" ? Infinity : Number(bound), below: count, count: count - below });
  }
  return found;
}

function read(text) {
  const figures = parse(text);
  const get = (name) => figures.get(name) ?? 0;
  const command = (name, status) => get(`memcached_commands_total{command="${name}",status="${status}"}`);
  const all = (name, ...statuses) => statuses.reduce((sum, status) => sum + command(name, status), 0);
  const other = ["delete", "incr", "decr", "touch"].reduce((sum, name) => sum + all(name, "hit", "miss"), 0);
  return {
    at: performance.now(),
    get,
    version: [...figures.keys()].find((key) => key.startsWith("memcached_version{"))?.split('"')[1].split("-").pop() ?? "",
    uptime: get("memcached_uptime_seconds"),
    hit: command("get", "hit"),
    miss: command("get", "miss"),
    set: command("set", "hit") + all("cas", "hit", "miss", "badval"),
    other: other + command("flush", "hit"),
    requests: get("miocached_requests_total"),
    requestTimes: buckets(figures, "miocached_request_duration_seconds"),
    turnTimes: buckets(figures, "miocached_turn_duration_seconds"),
  };
}

// The sample that is at least `ms` older than the last one, or the oldest without a gap between them.
function before(ms) {
  const last = samples[samples.length - 1];
  let found = last;
  for (let i = samples.length - 2; i >= 0 && samples[i]; i--) {
    found = samples[i];
    if (last.at - found.at >= ms) break;
  }
  return found;
}

// Differences a second between two samples.
function rate(from, to, of) {
  return to.at > from.at ? Math.max(0, of(to) - of(from)) / ((to.at - from.at) / 1000) : 0;
}

// Drawing.

function element(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// A round number that is not below `n`.
function ceiling(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 10)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((round) => round >= n);
}

function points() {
  const made = [];
  for (let i = 1; i < samples.length; i++) {
    const [from, to] = [samples[i - 1], samples[i]];
    if (!from || !to) {
      made.push(null);
      continue;
    }
    const point = { at: to.at };
    for (const kind of KINDS) point[kind] = rate(from, to, (sample) => sample[kind]);
    made.push(point);
  }
  return made;
}

// Runs of points without a gap.
function runs(all) {
  const made = [[]];
  for (const point of all) {
    if (point) made[made.length - 1].push(point);
    else if (made[made.length - 1].length) made.push([]);
  }
  return made.filter((run) => run.length > 0);
}

function drawTraffic() {
  const svg = byId("traffic");
  const { width, height } = svg.getBoundingClientRect();
  const [left, right, top, bottom] = [44, 4, 8, 20];
  const now = performance.now();
  const all = points();
  // The time axis grows with what is known, minute by minute.
  const known = samples.find((sample) => sample)?.at ?? now;
  const minutes = Math.min(HISTORY_MS / 60000, Math.max(1, Math.ceil((now - known) / 60000)));
  const total = (point) => KINDS.reduce((sum, kind) => sum + point[kind], 0);
  const most = ceiling(Math.max(10, ...all.filter(Boolean).map(total)));
  const x = (at) => left + (width - left - right) * (1 - (now - at) / (minutes * 60000));
  const y = (n) => top + (height - top - bottom) * (1 - n / most);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    element("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }, svg);
    element("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, svg, compact(most * part));
  }
  const step = minutes === 1 ? 15 : width < 480 && minutes > 3 ? 120 : 60;
  for (let s = 0; s <= minutes * 60; s += step) {
    const anchor = s === 0 ? "end" : s === minutes * 60 ? "start" : "middle";
    const label = s === 0 ? "now" : `−${span(s).replace(` 0${NARROW}s`, "")}`;
    element("text", { x: x(now - s * 1000), y: height - 4, "text-anchor": anchor }, svg, label);
  }
  for (const run of runs(all)) {
    const floor = run.map(() => 0);
    for (const kind of KINDS) {
      const low = run.map((point, i) => `${x(point.at).toFixed(1)} ${y(floor[i]).toFixed(1)}`);
      run.forEach((point, i) => { floor[i] += point[kind]; });
      const high = run.map((point, i) => `${x(point.at).toFixed(1)} ${y(floor[i]).toFixed(1)}`);
      if (run.some((point) => point[kind] > 0)) {
        element("path", { class: `area ${kind}`, d: `M${high.join("L")}L${low.reverse().join("L")}Z` }, svg);
      }
    }
  }
  const shown = pointed(all, x);
  if (pointedAt !== null && shown) {
    element("line", { class: "cursor", x1: x(shown.at), x2: x(shown.at), y1: top, y2: height - bottom }, svg);
  }
  for (const kind of KINDS) {
    byId("traffic-legend").querySelector(`.${kind} b`).textContent = shown ? compact(shown[kind]) : "–";
  }
  const ago = shown ? Math.round((now - shown.at) / 1000) : 0;
  show("traffic-when", pointedAt === null || !shown ? "now" : `${span(ago)} ago`);
}

// The point under the pointer, or the last one.
function pointed(all, x) {
  const known = all.filter(Boolean);
  if (pointedAt === null) return known[known.length - 1];
  const distance = (point) => Math.abs(x(point.at) - pointedAt);
  return known.reduce((best, point) => (!best || distance(point) < distance(best) ? point : best), undefined);
}

// Columns from 1 µs to 1 s, the last one with all above.
const COLUMNS = 21;

function drawTimes(id, factsId, from, to, list, longest) {
  const counts = list(to).map((bucket, i) => bucket.count - (list(from)[i]?.count ?? 0));
  const bounds = list(to).map((bucket) => bucket.bound);
  const columns = counts.slice(0, COLUMNS);
  columns[COLUMNS - 1] += counts.slice(COLUMNS).reduce((sum, count) => sum + count, 0);
  const all = counts.reduce((sum, count) => sum + count, 0);
  const svg = byId(id);
  const { width, height } = svg.getBoundingClientRect();
  const bottom = 18;
  const [step, most] = [width / COLUMNS, Math.max(1, ...columns)];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  element("line", { class: "grid", x1: 0, x2: width, y1: height - bottom, y2: height - bottom }, svg);
  columns.forEach((count, i) => {
    if (count > 0) {
      const tall = Math.max(2, (height - bottom - 4) * (count / most));
      const column = element("rect", { class: "column", x: i * step + 1, width: step - 2, y: height - bottom - tall, height: tall, rx: 1.5 }, svg);
      const below = i === COLUMNS - 1 ? `from ${duration(bounds[i - 1])}` : `below ${duration(bounds[i])}`;
      element("title", {}, column, `${below}: ${whole(count)} (${percent(count, all).toFixed(2)}${NARROW}%)`);
    }
  });
  for (const i of [0, 5, 10, 15, 20]) {
    element("text", { x: (i + 1) * step - (i === 20 ? 2 : 0), y: height - 4, "text-anchor": i === 20 ? "end" : "middle" }, svg, duration(2 ** i / 1e6));
  }
  const facts = [[0.5, "median"], [0.99, "99 %"], [0.999, "99.9 %"]].map(([share, name]) => {
    let below = 0;
    const i = counts.findIndex((count) => (below += count) >= share * all);
    return [name, all > 0 ? "< " + duration(bounds[i]) : "–"];
  });
  if (longest !== undefined) facts.push(["longest ever", duration(longest)]);
  byId(factsId).replaceChildren(...facts.map(([name, value]) => {
    const [group, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value;
    group.append(term, text);
    return group;
  }));
}

function drawMemory(last) {
  const [live, dead, free] = ["live", "dead", "free"].map((state) => last.get(`miocached_memory_bytes{state="${state}"}`));
  const all = live + dead + free;
  const states = { live, dead, free };
  for (const [state, size] of Object.entries(states)) {
    const share = percent(size, all).toFixed(1);
    byId("memory-legend").querySelector(`.${state} b`).textContent = `${bytes(size)} · ${share}${NARROW}%`;
    const part = byId("memory").querySelector(`.${state}`);
    if (part) part.style.width = `${share}%`;
  }
  byId("memory").setAttribute("aria-label", `${percent(live, all).toFixed(0)} % live, ${percent(dead, all).toFixed(0)} % expired or removed`);
  show("memory-limit", `${bytes(last.get("memcached_limit_bytes"))} in all`);
  const items = last.get("memcached_current_items");
  show("items", whole(items));
  show("item-bytes", items > 0 ? bytes(live / items) : "–");
  show("oldest", items > 0 ? `${span(last.get('memcached_slab_items_age_seconds{slab="1"}'))} ago` : "–");
}

function drawFigures(last) {
  const [second, ten, minute] = [before(POLL_MS * 0.9), before(10 * POLL_MS), before(WINDOW_MS)];
  const per = (from, name) => rate(from, last, (sample) => sample.get(name));
  const requests = rate(second, last, (sample) => sample.requests);
  show("requests", compact(requests));
  show("requests-note", `${compact(last.requests)} in all`);
  document.title = `${compact(requests)}/s · miocached`;
  const gets = (from) => last.hit + last.miss - from.hit - from.miss;
  const none = { hit: 0, miss: 0 };
  const ratio = (from) => (gets(from) > 0 ? percent(last.hit - from.hit, gets(from)).toFixed(1) : "–");
  show("ratio", ratio(minute));
  show("ratio-note", `${ratio(none)}${NARROW}% in all`);
  show("evictions", compact(per(ten, "memcached_items_evicted_total")));
  show("evictions-note", `${compact(last.get("memcached_items_evicted_total"))} in all`);
  show("connections", whole(last.get("memcached_current_connections")));
  show("connections-note", `of ${whole(last.get("memcached_max_connections"))}`);
  const cpu = per(ten, "memcached_process_user_cpu_seconds_total") + per(ten, "memcached_process_system_cpu_seconds_total");
  show("cpu", `${(100 * cpu).toFixed(1)}${NARROW}% of a core`);
  show("received", `${bytes(per(ten, "memcached_read_bytes_total"))}/s`);
  show("sent", `${bytes(per(ten, "memcached_written_bytes_total"))}/s`);
  show("opened", `${compact(per(ten, "memcached_connections_total"))}/s`);
  show("rejected", whole(last.get("memcached_connections_rejected_total")));
  show("buffers", `${bytes(last.get("miocached_buffer_bytes"))} of ${bytes(last.get("miocached_buffer_limit_bytes"))}`);
  show("waiting", whole(last.get("miocached_connections_waiting")));
  show("map", bytes(last.get("miocached_map_bytes")));
  show("unread", compact(last.get('memcached_slab_items_evicted_unfetched_total{slab="1"}')));
  show("refused", whole(last.get("memcached_item_too_large_total") + last.get("memcached_item_no_memory_total")));
  show("server", `${location.host} · version ${last.version} · up ${span(last.uptime)}`);
  drawMemory(last);
  drawTimes("request-time", "request-facts", minute, last, (sample) => sample.requestTimes);
  drawTimes("turn-time", "turn-facts", minute, last, (sample) => sample.turnTimes, last.get("miocached_longest_turn_seconds"));
}

function drawHotKeys(hot) {
  const { seconds, requests, keys } = hot.enabled ? hot.recent : { seconds: 0, requests: 0, keys: [] };
  show("hot-note", hot.enabled && keys.length ? `fetches in the last ${span(seconds)}` : "");
  show("hot-empty", hot.enabled ? "no fetches in the last seconds" : "-X forbids listing keys");
  byId("hot").classList.toggle("is-empty", keys.length === 0);
  byId("hot-keys").tBodies[0].replaceChildren(...keys.slice(0, 8).map((one) => {
    const row = document.createElement("tr");
    const [key, rate, share] = [row.insertCell(), row.insertCell(), row.insertCell()];
    key.textContent = key.title = one.key ?? `0x${one.hex}`;
    rate.textContent = compact(one.requests / seconds) + "/s";
    const error = document.createElement("small");
    error.textContent = one.error > 0 ? ` ± ${compact(one.error / seconds)}` : "";
    rate.append(error);
    const [line, bar, part, text] = ["div", "span", "i", "b"].map((tag) => document.createElement(tag));
    bar.className = "share";
    part.style.width = `${percent(one.requests, keys[0].requests)}%`;
    text.textContent = `${percent(one.requests, requests).toFixed(1)}${NARROW}%`;
    bar.append(part);
    line.append(bar, text);
    share.append(line);
    return row;
  }));
}

// The conversation with the server.

function state(name, text) {
  if (document.body.dataset.state !== name || name === "lost") show("state", text);
  document.body.dataset.state = name;
}

function accept(sample) {
  const last = samples[samples.length - 1];
  // Its counters have begun anew.
  if (last && (sample.uptime < last.uptime || sample.requests < last.requests)) samples.push(null);
  samples.push(sample);
  const oldest = sample.at - HISTORY_MS - 2 * POLL_MS;
  samples = samples.filter((one, i) => i === samples.length - 1 || (one ? one.at >= oldest : i > 0));
  lastAnswer = sample.at;
  state("live", "live");
  drawFigures(sample);
}

function lose() {
  const silent = performance.now() - lastAnswer;
  if (silent >= LOST_MS) {
    state("lost", `no answer for ${span(silent / 1000)}`);
    document.title = "no answer · miocached";
    if (samples.length && samples[samples.length - 1]) samples.push(null);
  }
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(4 * POLL_MS) });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer;
}

async function poll() {
  const begun = performance.now();
  try {
    accept(read(await (await ask("/metrics")).text()));
    drawHotKeys(await (await ask("/hotkeys")).json());
  } catch {
    lose();
  }
  drawTraffic();
  setTimeout(poll, Math.max(POLL_MS / 10, POLL_MS - (performance.now() - begun)));
}

byId("traffic").addEventListener("pointermove", (event) => {
  pointedAt = event.offsetX;
  drawTraffic();
});
byId("traffic").addEventListener("pointerleave", () => {
  pointedAt = null;
  drawTraffic();
});
new ResizeObserver(drawTraffic).observe(byId("traffic"));
setInterval(lose, POLL_MS);
poll();
