// What the page says, in its two languages.
const words = {
  en: {
    skip: "Skip to the chat", cluster: "Cluster", charts: "Charts", chat: "Chat", leave: "Sign out", workers: "Workers", events: "Events",
    message: "Message", temperature: "Temperature", most: "At most", tokens: "tokens", clear: "New", stop: "Stop", send: "Send",
    placeholder: "Write to the model… (Enter sends, Shift+Enter breaks the line)",
    serving: "serving", waiting: "waiting", loading: "loading", standby: "standing by", closed: "closed", away: "no answer",
    epoch: "epoch", step: "step", running: "running", queued: "waiting", kv: "KV cache", ranks: "ranks",
    rank: "Rank", worker: "Worker", health: "Health", time: "Step", traffic: "Sent", memory: "Memory", host: "Host",
    alive: "alive", dead: "dead", lost: "lost", spare: "spare", drained: "drained", straggler: "slow",
    compute: "computing", wire: "exchanging", wait: "waiting", heads: "Attention heads", ffn: "FFN columns", vocab: "Vocabulary",
    ringOf: "Workers of the cluster in a ring", none: "No workers yet.",
    tps: "Tokens per second", load: "Sequences", ttft: "Time to first token", itl: "Time between tokens", kvUse: "KV cache in use", stepTime: "Step of each rank",
    median: "median", p95: "95 %", generated: "generated", prompt: "prompt",
    noAnswer: "The coordinator does not answer. Trying on.", refused: "The API key is not accepted any more.",
    user: "You", assistant: "Model", first: "first token", perSecond: "tokens/s", stopped: "stopped", failed: "Failed",
    lostWorker: "lost", forming: "forms", ended: "ended", version: "version", of: "of",
  },
  ko: {
    skip: "채팅으로 건너뛰기", cluster: "클러스터", charts: "차트", chat: "채팅", leave: "로그아웃", workers: "워커", events: "이벤트",
    message: "메시지", temperature: "온도", most: "최대", tokens: "토큰", clear: "새 대화", stop: "중지", send: "보내기",
    placeholder: "모델에게 보낼 내용… (Enter 전송, Shift+Enter 줄바꿈)",
    serving: "서비스 중", waiting: "대기 중", loading: "적재 중", standby: "예비", closed: "종료됨", away: "응답 없음",
    epoch: "에포크", step: "스텝", running: "실행", queued: "대기", kv: "KV 캐시", ranks: "랭크",
    rank: "랭크", worker: "워커", health: "상태", time: "스텝", traffic: "전송", memory: "메모리", host: "호스트",
    alive: "정상", dead: "중단", lost: "유실", spare: "예비", drained: "제외됨", straggler: "느림",
    compute: "계산", wire: "교환", wait: "대기", heads: "어텐션 헤드", ffn: "FFN 열", vocab: "어휘",
    ringOf: "고리로 이어진 클러스터의 워커", none: "아직 워커가 없습니다.",
    tps: "초당 토큰", load: "시퀀스", ttft: "첫 토큰까지의 시간", itl: "토큰 간 시간", kvUse: "KV 캐시 사용", stepTime: "랭크별 스텝 시간",
    median: "중앙값", p95: "95 %", generated: "생성", prompt: "프롬프트",
    noAnswer: "코디네이터가 응답하지 않습니다. 다시 시도합니다.", refused: "API 키가 더 이상 유효하지 않습니다.",
    user: "나", assistant: "모델", first: "첫 토큰", perSecond: "토큰/초", stopped: "중지됨", failed: "실패",
    lostWorker: "유실", forming: "구성 중", ended: "종료", version: "버전", of: "/",
  },
};
let language = localStorage.getItem("sullae-language") || (navigator.language.startsWith("ko") ? "ko" : "en");
const t = (name) => words[language][name] || name;

function translate() {
  document.documentElement.lang = language;
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  const other = $("language");
  other.textContent = language === "ko" ? "English" : "한국어";
  other.lang = language === "ko" ? "en" : "ko";
  $("text").placeholder = t("placeholder");
}

function $(id) { return document.getElementById(id); }

// el makes an element: attributes, then children (strings are text, never HTML).
function el(name, attrs, ...children) {
  const e = document.createElement(name);
  return fill(e, attrs, children);
}
function svg(name, attrs, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attrs, children);
}
function fill(e, attrs, children) {
  for (const [k, v] of Object.entries(attrs || {})) if (v !== undefined && v !== null) e.setAttribute(k, v);
  for (const c of children.flat()) if (c !== null && c !== undefined) e.append(c);
  return e;
}

function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return (n >= 100 || i === 0 ? n.toFixed(0) : n.toFixed(1)) + " " + units[i];
}
function seconds(s) {
  if (!isFinite(s)) return "–";
  if (s < 0.001) return (s * 1e6).toFixed(0) + " µs";
  return s < 1 ? (s * 1e3).toFixed(s < 0.01 ? 1 : 0) + " ms" : s.toFixed(1) + " s";
}
const count = (n) => n.toLocaleString(language);
