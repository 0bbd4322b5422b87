// Live charts of the last minutes, as SVG.
const points = 120; // one a second
const charts = [
  { name: "tps", unit: (v) => count(Math.round(v * 10) / 10), series: ["generated", "prompt"], least: 10 },
  { name: "load", unit: (v) => count(Math.round(v * 10) / 10), series: ["running", "queued"], least: 4 },
  { name: "ttft", unit: seconds, series: ["median", "p95"], least: 0.01 },
  { name: "itl", unit: seconds, series: ["median", "p95"], least: 0.001 },
  { name: "kvUse", unit: (v) => Math.round(v) + " %", series: ["kv"], max: 100 },
  { name: "stepTime", unit: seconds, series: [], least: 0.001 }, // one for each rank
];
for (const c of charts) c.data = [];

function record(name, values) {
  const c = charts.find((x) => x.name === name);
  c.data.push(values);
  if (c.data.length > points) c.data.shift();
}

function drawCharts() {
  $("chart-list").replaceChildren(...charts.map(draw));
}

function draw(c) {
  const w = 340, h = 150, left = 46, bottom = 18, top = 8;
  const n = Math.max(c.series.length, ...c.data.map((d) => d.length), 0);
  const max = nice(c.max || Math.max(c.least || 1, ...c.data.flat().filter(isFinite)));
  const x = (i) => left + ((w - left - 6) * (i + points - c.data.length)) / (points - 1);
  const y = (v) => top + (h - top - bottom) * (1 - Math.min(v, max) / max);
  const parts = [];
  for (const f of [0, 0.5, 1]) {
    parts.push(svg("line", { class: "grid", x1: left, x2: w - 6, y1: y(max * f), y2: y(max * f) }),
      svg("text", { class: "axis", x: left - 6, y: y(max * f) + 4, "text-anchor": "end" }, c.unit(max * f)));
  }
  parts.push(svg("text", { class: "axis", x: left, y: h - 3 }, "−2 min"), svg("text", { class: "axis", x: w - 6, y: h - 3, "text-anchor": "end" }, "0"));
  const legend = [];
  for (let s = 0; s < n; s++) {
    let path = "", pen = false;
    c.data.forEach((d, i) => {
      const v = d[s];
      if (!isFinite(v)) { pen = false; return; }
      path += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}` + (pen ? "" : "h0"); // a point alone is a dot
      pen = true;
    });
    if (path) parts.push(svg("path", { class: `line c${s % colours}`, d: path }));
    const last = c.data.length ? c.data[c.data.length - 1][s] : NaN;
    const name = c.series[s] ? t(c.series[s]) : `${t("rank")} ${s}`;
    legend.push(el("span", {}, el("i", { class: `c${s % colours}`, "aria-hidden": "true" }), `${name} `, el("b", {}, isFinite(last) ? c.unit(last) : "–")));
  }
  const words = `${t(c.name)}: ` + legend.map((l) => l.textContent).join(", ");
  return el("figure", {}, el("figcaption", {}, t(c.name)), svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": words }, parts), el("div", { class: "legend", "aria-hidden": "true" }, legend));
}

// nice rounds a scale's end up.
function nice(v) {
  const p = Math.pow(10, Math.floor(Math.log10(v)));
  for (const m of [1, 2, 5, 10]) if (v <= m * p) return m * p;
  return v;
}

// Quantiles of what was observed since the last reading of /metrics.
const before = new Map();
function quantiles(text, metric, qs) {
  const now = new Map();
  const find = new RegExp(`^${metric}_bucket\\{([^}]*)\\} (\\S+)$`, "gm");
  for (let m; (m = find.exec(text)); ) {
    const le = /le="([^"]+)"/.exec(m[1])[1];
    const bound = le === "+Inf" ? Infinity : Number(le);
    now.set(bound, (now.get(bound) || 0) + Number(m[2]));
  }
  const was = before.get(metric) || now;
  before.set(metric, now);
  const buckets = [...now.entries()].sort((a, b) => a[0] - b[0]).map(([le, n]) => [le, n - (was.get(le) || 0)]);
  const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
  return qs.map((q) => {
    if (!(total > 0)) return NaN;
    let low = 0, under = 0;
    for (const [le, n] of buckets) {
      if (n >= q * total) return le === Infinity ? low : low + ((le - low) * (q * total - under)) / Math.max(1e-9, n - under);
      low = le; under = n;
    }
    return low;
  });
}
