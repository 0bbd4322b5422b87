// A conversation with the model, streamed.
let talk = [];
let stopTalk = null;
const samples = ["안녕하세요! 자기소개를 해 주세요.", "12+30은 얼마인가요?", "What is 12 + 30?", "Tell me about Seoul."];

function drawSamples() {
  $("samples").replaceChildren(...samples.map((text) => {
    const b = el("button", { type: "button", lang: /[가-힣]/.test(text) ? "ko" : "en" }, text);
    b.addEventListener("click", () => send(text));
    return b;
  }));
}

function bubble(role, text) {
  const body = el("div", { class: "body", dir: "auto" }, text);
  const note = el("div", { class: "note muted" });
  $("log").append(el("article", { class: role, "aria-label": t(role) }, el("b", {}, t(role)), body, note));
  $("log").scrollTop = $("log").scrollHeight;
  return { body, note };
}

async function send(text) {
  if (stopTalk || !text.trim()) return;
  $("samples").hidden = true;
  $("text").value = "";
  bubble("user", text);
  talk.push({ role: "user", content: text });
  const out = bubble("assistant", "");
  out.body.classList.add("cursor");
  const control = new AbortController();
  stopTalk = control;
  $("send").hidden = true;
  $("stop").hidden = false;
  const began = performance.now();
  let first = 0, tokens = 0, answer = "";
  try {
    const res = await ask("/v1/chat/completions", {
      method: "POST", signal: control.signal, headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ messages: talk, stream: true, stream_options: { include_usage: true }, temperature: Number($("temperature").value), max_tokens: Number($("most").value) || 128 }),
    });
    if (!res.ok) {
      const body = await res.json().catch(() => ({}));
      throw new Error((body.error && body.error.message) || res.status + " " + res.statusText);
    }
    for await (const event of events(res.body)) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) tokens = event.usage.completion_tokens;
      const piece = event.choices && event.choices[0] && event.choices[0].delta && event.choices[0].delta.content;
      if (!piece) continue;
      if (!first) first = performance.now();
      answer += piece;
      out.body.textContent = answer;
      $("log").scrollTop = $("log").scrollHeight;
    }
    const took = (performance.now() - first) / 1000;
    out.note.textContent = first ? `${t("first")} ${seconds((first - began) / 1000)} · ${count(tokens)} ${t("tokens")}` + (tokens > 1 && took > 0 ? ` · ${((tokens - 1) / took).toFixed(0)} ${t("perSecond")}` : "") : "";
  } catch (e) {
    out.note.classList.toggle("error", e.name !== "AbortError");
    out.note.textContent = e.name === "AbortError" ? t("stopped") : `${t("failed")}: ${e.message}`;
  }
  if (answer) talk.push({ role: "assistant", content: answer });
  else talk.pop(); // nothing was said: the question can be asked again
  out.body.classList.remove("cursor");
  stopTalk = null;
  $("send").hidden = false;
  $("stop").hidden = true;
  $("text").focus({ preventScroll: true });
}

// events reads server-sent events.
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      yield JSON.parse(line.slice(6));
    }
  }
}

function startChat() {
  drawSamples();
  $("ask").addEventListener("submit", (e) => { e.preventDefault(); send($("text").value); });
  $("text").addEventListener("keydown", (e) => {
    // Enter that ends the composing of a Hangul syllable is not meant for us.
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); send($("text").value); }
  });
  $("stop").addEventListener("click", () => stopTalk && stopTalk.abort());
  $("clear").addEventListener("click", () => {
    if (stopTalk) stopTalk.abort();
    talk = [];
    $("log").replaceChildren();
    $("samples").hidden = false;
    $("text").focus();
  });
}
