// The page's life: it looks at the cluster twice a second while it is seen.
const look = 500;
let latest = null, list = [], lastChart = 0;

async function refresh() {
  let s;
  try {
    const res = await ask("/cluster/status", { signal: AbortSignal.timeout(4000) });
    if (res.status === 401) return trouble(t("refused"), true);
    s = await res.json();
  } catch (e) {
    return trouble(t("noAnswer"), false);
  }
  trouble("", false);
  latest = s;
  list = follow(s);
  for (const k of list) k.rate = k.lost ? 0 : rate("sent " + k.worker.id, k.worker.bytes_sent || 0);
  const now = Date.now();
  if (now - lastChart >= 1000) {
    lastChart = now;
    record("tps", [rate("generated", s.traffic.generation_tokens), rate("prompt", s.traffic.prompt_tokens)]);
    record("load", [s.group.sequences_running, s.group.sequences_waiting]);
    const total = s.group.kv_blocks_total;
    record("kvUse", [total ? (100 * (total - s.group.kv_blocks_free)) / total : NaN]);
    record("stepTime", list.filter((k) => k.worker.rank >= 0 && !k.lost).map((k) => (k.worker.compute_ms + k.worker.wait_ms) / 1e3));
    await latencies();
    drawCharts();
  }
  show();
}

async function latencies() {
  let text = "";
  try {
    const res = await ask("/metrics", { signal: AbortSignal.timeout(4000) });
    if (res.ok) text = await res.text();
  } catch (e) { /* the next reading may succeed */ }
  record("ttft", quantiles(text, "vllm:time_to_first_token_seconds", [0.5, 0.95]));
  record("itl", quantiles(text, "vllm:inter_token_latency_seconds", [0.5, 0.95]));
}

function show() {
  const s = latest;
  if (!s) return;
  $("model").textContent = s.model.name;
  $("phase").className = "phase " + s.group.phase;
  const text = t(s.group.phase) + (s.group.phase !== "serving" && s.group.reason ? ": " + s.group.reason : "");
  if ($("phase-text").textContent !== text) $("phase-text").textContent = text;
  drawFacts(s);
  drawRing(s, list);
  drawShares(list);
  drawWorkers(list);
  drawEvents(s);
  $("foot").textContent = `Sullae ${s.version} · ${s.cluster} · ${s.coordinator} · ${s.model.architecture}`;
}

function trouble(text, final) {
  const e = $("trouble");
  e.hidden = !text;
  if (e.textContent !== text) e.textContent = text;
  if (text) {
    $("phase").className = "phase away";
    $("phase-text").textContent = t("away");
  }
  if (final && key) setTimeout(leave, 1500);
}

async function live() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((r) => setTimeout(r, look));
  }
}

$("leave").hidden = !key;
$("leave").addEventListener("click", leave);
$("language").addEventListener("click", () => {
  language = language === "ko" ? "en" : "ko";
  localStorage.setItem("sullae-language", language);
  translate();
  show();
  drawCharts();
});
translate();
startChat();
drawCharts();
live();
