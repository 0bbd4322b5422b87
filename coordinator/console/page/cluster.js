// The cluster as a picture: a ring of workers, and who holds what.

// kept is how long a worker that is gone is still shown.
const kept = 60000;
const colours = 8; // classes c0 to c7 of the style sheet
const known = new Map(); // id -> {worker, seen, colour, lost}

// follow brings what is known up to a status, and returns the workers to show.
function follow(s) {
  const now = Date.now();
  for (const w of s.workers || []) {
    let k = known.get(w.id);
    if (!k) {
      const used = new Set([...known.values()].map((x) => x.colour));
      let c = 0;
      while (used.has(c) && c < colours - 1) c++;
      k = { colour: c };
      known.set(w.id, k);
    }
    k.worker = w;
    k.seen = now;
    k.lost = w.health !== "alive";
  }
  for (const e of s.events || []) {
    const k = e.kind === "lost" && known.get(e.worker);
    // A loss counts until the worker is a rank of a later epoch.
    if (k && !(k.worker.rank >= 0 && s.group.epoch > e.epoch && k.seen === now)) k.lost = true;
  }
  for (const [id, k] of known) {
    if (k.seen !== now) k.lost = true;
    if (k.lost && !k.since) k.since = now;
    if (!k.lost) k.since = 0;
    if (k.seen !== now && now - k.seen > kept) known.delete(id);
  }
  return [...known.values()].sort((a, b) => order(a) - order(b) || a.worker.id.localeCompare(b.worker.id));
}
const order = (k) => (k.worker.rank < 0 ? 1e6 : k.worker.rank);

function state(k) {
  if (k.lost) return k.worker.health === "dead" ? "dead" : "lost";
  if (k.worker.rank < 0) return k.worker.drained ? "drained" : "spare";
  return k.worker.straggler ? "straggler" : "alive";
}

// rate of a counter that may begin anew.
const rates = new Map();
function rate(name, value) {
  const now = performance.now(), was = rates.get(name);
  if (!was || value < was.value) {
    rates.set(name, { value, at: now, rate: 0 });
    return 0;
  }
  if (now - was.at > 900) {
    rates.set(name, { value, at: now, rate: ((value - was.value) * 1000) / (now - was.at) });
  }
  return rates.get(name).rate;
}

function drawRing(s, list) {
  const box = $("ring");
  const title = t("ringOf") + ": " + list.map((k) => `${k.worker.id} ${t(state(k))}`).join(", ");
  const parts = [svg("title", { id: "ring-title" }, title)];
  const cx = 260, cy = 196, r = list.length > 1 ? 132 : 0;
  const at = list.map((_, i) => {
    const a = (2 * Math.PI * i) / list.length - Math.PI / 2;
    return [cx + 1.35 * r * Math.cos(a), cy + r * Math.sin(a)];
  });
  const busy = s.group.sequences_running > 0 && s.group.phase === "serving";
  const ranks = list.map((k, i) => i).filter((i) => list[i].worker.rank >= 0 && !list[i].lost);
  for (let a = 0; a < ranks.length; a++) {
    for (let b = a + 1; b < ranks.length; b++) {
      const i = ranks[a], j = ranks[b];
      if ((list[i].worker.group || "0") !== (list[j].worker.group || "0")) continue;
      const sent = (list[i].rate + list[j].rate) / Math.max(1, ranks.length - 1);
      const width = 1.5 + Math.min(6, Math.log10(1 + sent / 1000));
      parts.push(svg("line", { x1: at[i][0], y1: at[i][1], x2: at[j][0], y2: at[j][1], class: busy ? "link busy" : "link", "stroke-width": width.toFixed(1) }));
    }
  }
  list.forEach((k, i) => {
    const [x, y] = at[i], st = state(k), w = k.worker;
    const g = svg("g", { class: `node ${st} c${k.colour}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    g.append(svg("circle", { r: 34 }));
    g.append(svg("text", { class: "big", y: 2 }, st === "lost" || st === "dead" ? "✕" : w.rank < 0 ? "·" : String(w.rank)));
    g.append(svg("text", { class: "small", y: 19 }, t(st)));
    g.append(svg("text", { class: "name", y: 52 }, short(w.id)));
    if (st === "alive" || st === "straggler") g.append(svg("text", { class: "name muted", y: 67 }, bytes(k.rate) + "/s"));
    parts.push(g);
  });
  if (!list.length) parts.push(svg("text", { x: cx, y: cy, class: "name" }, t("none")));
  box.replaceChildren(...parts);
}

const short = (id) => (id.length > 24 ? id.slice(0, 11) + "…" + id.slice(-12) : id);

// drawShares shows each dimension cut among the ranks.
function drawShares(list) {
  const now = Math.max(0, ...list.map((k) => k.seen));
  const ranks = list.filter((k) => k.worker.rank >= 0 && k.seen === now);
  const rows = [["heads", (w) => w.heads], ["ffn", (w) => w.ffn], ["vocab", (w) => w.vocab]].map(([name, of]) => {
    const total = Math.max(1, ...ranks.map((k) => of(k.worker)[1]));
    const bar = el("div", { class: "bar", role: "list", "aria-label": t(name) });
    for (const k of ranks) {
      const [lo, hi] = of(k.worker);
      if (hi <= lo) continue;
      const part = el("div", { class: `part c${k.colour}` + (k.lost ? " lost" : ""), role: "listitem", title: `${k.worker.id}: ${lo}–${hi - 1}`, "aria-label": `${t("rank")} ${k.worker.rank}: ${lo}–${hi - 1}` },
        el("b", {}, (k.lost ? "✕ " : "") + k.worker.rank), el("span", {}, `${lo}–${hi - 1}`));
      part.style.flexGrow = String((hi - lo) / total);
      bar.append(part);
    }
    return el("div", { class: "dim" }, el("span", { class: "dim-name" }, t(name)), bar);
  });
  $("shares").replaceChildren(...rows);
}

function drawWorkers(list) {
  const head = ["rank", "worker", "health", "time", "traffic", "memory", "host"];
  $("workers").tHead.replaceChildren(el("tr", {}, head.map((h) => el("th", { scope: "col" }, t(h)))));
  const slowest = Math.max(1e-9, ...list.map((k) => k.worker.compute_ms + k.worker.wait_ms));
  $("workers").tBodies[0].replaceChildren(...list.map((k) => {
    const w = k.worker, st = state(k), rank = w.rank >= 0 && !k.lost;
    const wire = Math.max(0, w.wait_ms - w.blocked_ms);
    const times = [["compute", w.compute_ms], ["wire", wire], ["wait", w.blocked_ms]];
    const bar = el("div", { class: "times", "aria-hidden": "true" }, times.map(([n, ms]) => {
      const d = el("i", { class: n });
      d.style.width = ((100 * ms) / slowest).toFixed(1) + "%";
      return d;
    }));
    const text = times.map(([n, ms]) => `${t(n)} ${seconds(ms / 1e3)}`).join(" · ");
    return el("tr", { class: st },
      el("td", {}, el("span", { class: `chip c${k.colour}` }, rank ? String(w.rank) : "–")),
      el("th", { scope: "row" }, w.id),
      el("td", {}, el("span", { class: `pill ${st}` }, t(st))),
      el("td", { "data-label": t("time") }, rank ? [bar, el("span", { class: "muted times-text" }, text)] : "–"),
      el("td", { class: "num", "data-label": t("traffic") }, rank ? bytes(k.rate) + "/s" : "–"),
      el("td", { class: "num", "data-label": t("memory") }, rank ? bytes(w.weight_bytes + w.kv_bytes) : "–"),
      el("td", { "data-label": t("host") }, [w.host, el("span", { class: "muted times-text" }, `${w.backend} × ${w.threads}`)]));
  }));
}

function drawFacts(s) {
  const g = s.group, used = g.kv_blocks_total - g.kv_blocks_free;
  const facts = [
    [t("ranks"), `${list.filter((k) => k.worker.rank >= 0 && !k.lost).length} ${t("of")} ${g.workers_wanted}`],
    [t("epoch"), count(g.epoch)], [t("step"), count(g.step)],
    [t("running"), count(g.sequences_running)], [t("queued"), count(g.sequences_waiting)],
    [t("kv"), g.kv_blocks_total ? Math.round((100 * used) / g.kv_blocks_total) + " %" : "–"],
  ];
  $("facts").replaceChildren(...facts.map(([n, v]) => el("div", {}, el("b", {}, v), el("span", {}, n))));
}

let lastEvent = "";
function drawEvents(s) {
  const list = (s.events || []).slice(-12).reverse();
  const mark = JSON.stringify([list, language]);
  if (mark === lastEvent) return;
  lastEvent = mark;
  $("events").replaceChildren(...list.map((e) => {
    const when = new Date(e.unix_ms).toLocaleTimeString(language);
    const what = { lost: t("lostWorker"), forming: t("forming"), serving: t("serving"), ended: t("ended") }[e.kind] || e.kind;
    return el("li", { class: e.kind }, el("time", {}, when), el("span", { class: "pill " + e.kind }, what),
      ` ${e.worker || t("epoch") + " " + e.epoch}` + (e.text ? ": " + e.text : ""));
  }));
}
