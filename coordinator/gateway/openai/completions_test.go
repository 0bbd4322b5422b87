package openai_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestCompletion(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("서울입니다.")})
	r := s.do("POST", "/v1/completions", `{"model":"tiny","prompt":"수도는","max_tokens":100,"return_token_ids":true}`, "X-Request-Id", "abc")
	var c completion
	r.ok(&c)
	if c.ID != "cmpl-abc" || c.Object != "text_completion" || c.Model != "tiny" || r.header.Get("X-Request-Id") != "abc" || r.header.Get("X-Sullae-Seed") != "42" {
		t.Errorf("got %+v, header %v", c, r.header)
	}
	ch := c.Choices[0]
	if ch.Text != "서울입니다." || *ch.FinishReason != "stop" || ch.StopReason != nil || ch.Logprobs != nil {
		t.Errorf("choice %+v", ch)
	}
	if len(ch.TokenIDs) != 16 || len(ch.PromptTokenIDs) != 9 {
		t.Errorf("ids %v, %v", ch.TokenIDs, ch.PromptTokenIDs)
	}
	if u := c.Usage; u.PromptTokens != 9 || u.CompletionTokens != 17 || u.TotalTokens != 26 {
		t.Errorf("usage %+v: EOS counts", *u)
	}
	// What a client may look at: null, not absent.
	for _, part := range []string{`"logprobs":null`, `"stop_reason":null`} {
		if !strings.Contains(r.body, part) {
			t.Errorf("%s lacks %s", r.body, part)
		}
	}
}

func TestPromptForms(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	for prompt, want := range map[string][]string{
		`"ab"`:                   {"ab"},
		`[97,98]`:                {"ab"},
		`["ab","cd"]`:            {"ab", "cd"},
		`[[97,98],[99],[100]]`:   {"ab", "cc", "dd"},
		`["ab"],"n":2`:           {"ab", "ab"},
		`[[97],[98]],"n":2`:      {"aa", "aa", "bb", "bb"},
		"[ [ 97 , 98 ]\n, [99]]": {"ab", "cc"},
	} {
		var c completion
		s.post("/v1/completions", `{"prompt":`+prompt+`,"max_tokens":2}`).ok(&c)
		var got []string
		for i, ch := range c.Choices {
			got = append(got, ch.Text)
			if ch.Index != i || *ch.FinishReason != "length" {
				t.Errorf("%s: choice %d: %+v", prompt, i, ch)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", prompt, got, want)
		}
	}
	var c completion
	s.post("/v1/completions", `{"prompt":"ab"}`).ok(&c)
	if len(c.Choices[0].Text) != 16 {
		t.Errorf("the default of max_tokens is OpenAI's, 16: %q", c.Choices[0].Text)
	}
}

func TestStops(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Script([]int32("ab\ncd")...)})
	for field, want := range map[string][2]any{
		`"stop":"b\nc"`:                     {"a", "b\nc"},
		`"stop":["zz","cd"]`:                {"ab\n", "cd"},
		`"stop_token_ids":[99]`:             {"ab\n", 99.},
		`"stop":[],"max_tokens":1`:          {"a", nil},
		`"stop":null,"max_tokens":2.0`:      {"ab", nil},
		`"stop":"xyz","max_tokens":1,"n":1`: {"a", nil},
	} {
		var c completion
		s.post("/v1/completions", `{"prompt":"x",`+field+`}`).ok(&c)
		if got := [2]any{c.Choices[0].Text, c.Choices[0].StopReason}; got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
}

func TestCompletionStream(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("네, 서울!")})
	r := s.post("/v1/completions", `{"prompt":["ab","c"],"n":2,"echo":true,"max_tokens":50,"stream":true,
		"stream_options":{"include_usage":true},"return_token_ids":true,"logprobs":0}`)
	if r.header.Get("Cache-Control") != "no-cache, no-transform" {
		t.Errorf("header %v", r.header)
	}
	events := r.events()
	texts, ids, logprobs, finishes := map[int]string{}, map[int]int{}, map[int]int{}, 0
	for i, e := range events {
		var c completion
		if err := json.Unmarshal([]byte(e), &c); err != nil {
			t.Fatal(err)
		}
		if last := i == len(events)-1; last {
			if len(c.Choices) != 0 || c.Usage == nil || c.Usage.PromptTokens != 3 || c.Usage.CompletionTokens != 4*13 {
				t.Errorf("usage %s", e)
			}
			continue
		}
		if !strings.Contains(e, `"usage":null`) {
			t.Errorf("usage is null before the last chunk: %s", e)
		}
		ch := c.Choices[0]
		texts[ch.Index] += ch.Text
		ids[ch.Index] += len(ch.TokenIDs)
		if ch.Logprobs != nil {
			logprobs[ch.Index] += len(ch.Logprobs.Tokens)
		}
		if ch.FinishReason != nil {
			finishes++
		}
	}
	if want := map[int]string{0: "ab네, 서울!", 1: "ab네, 서울!", 2: "c네, 서울!", 3: "c네, 서울!"}; !reflect.DeepEqual(texts, want) {
		t.Errorf("texts %v", texts)
	}
	if want := map[int]int{0: 12, 1: 12, 2: 12, 3: 12}; !reflect.DeepEqual(ids, want) {
		t.Errorf("ids %v", ids)
	}
	if want := map[int]int{0: 15, 1: 15, 2: 14, 3: 14}; !reflect.DeepEqual(logprobs, want) {
		t.Errorf("logprobs %v", logprobs)
	}
	if finishes != 4 {
		t.Errorf("%d finishes", finishes)
	}
}

// Half a character, and what may begin a stop string, make no chunk.
func TestCompletionStreamSkipsEmptyChunks(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("가나")})
	events := s.post("/v1/completions", `{"prompt":"x","max_tokens":50,"stream":true}`).events()
	if len(events) != 3 {
		t.Errorf("%d chunks: %s", len(events), events)
	}
	if strings.Contains(strings.Join(events, ""), "usage") {
		t.Error("usage was not asked for")
	}
}

// The contract of lm-evaluation-harness's local-completions: for each prompt
// prompt_tokens + 1 entries, the first null; top_logprobs has the actual token;
// a token is greedy if its value equals the greatest of its map; order is kept.
func TestEvaluationHarness(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{Tokens: gatewaytest.Script(gatewaytest.EOS), PromptChunk: 2})
	// Tokens 0xed and 0x95 are parts of a character, which have no text alone.
	prompts := [][]int32{{0xed, 0x95, 0x9c, 'a', 'b'}, {'x'}, {'y', gatewaytest.BOS, 'z'}}
	body, _ := json.Marshal(map[string]any{"model": "tiny", "prompt": prompts, "temperature": 0, "max_tokens": 1,
		"logprobs": 1, "echo": true, "seed": 1234})
	r := s.post("/v1/completions", string(body))
	var c completion
	r.ok(&c)
	if len(c.Choices) != len(prompts) {
		t.Fatalf("%d choices", len(c.Choices))
	}
	for i, ch := range c.Choices {
		l, n := ch.Logprobs, len(prompts[i])
		if ch.Index != i || len(l.TokenLogprobs) != n+1 || len(l.TopLogprobs) != n+1 || len(l.Tokens) != n+1 || len(l.TextOffset) != n+1 {
			t.Fatalf("choice %d: %+v", i, l)
		}
		if l.TokenLogprobs[0] != nil || l.TopLogprobs[0] != nil {
			t.Errorf("the first token has no log-probability")
		}
		for p := 1; p <= n; p++ {
			lp, top := *l.TokenLogprobs[p], l.TopLogprobs[p]
			if got, ok := top[l.Tokens[p]]; !ok || got != lp {
				t.Errorf("choice %d position %d: %v is not in %v", i, p, l.Tokens[p], top)
			}
			if want := -0.1 * float32(p+1); lp != want {
				t.Errorf("choice %d position %d: %v, want %v to the bit", i, p, lp, want)
			}
			greedy := true
			for _, v := range top {
				greedy = greedy && lp >= v
			}
			if greedy != (p%3 == 0) {
				t.Errorf("choice %d position %d: greedy %v", i, p, greedy)
			}
		}
	}
	if got, want := c.Choices[0].Logprobs.Tokens, []string{`bytes:\xed`, `bytes:\x95`, `bytes:\x9c`, "a", "b", "[EOS]"}; !reflect.DeepEqual(got, want) {
		t.Errorf("tokens %q", got)
	}
	if got, want := c.Choices[0].Logprobs.TextOffset, []int{0, 0, 0, 1, 2, 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("offsets %v", got)
	}
	if c.Choices[0].Text != "한ab" {
		t.Errorf("text %q", c.Choices[0].Text)
	}
	if strings.Contains(r.body, "0.20000000298") {
		t.Error("log-probabilities are not in the shortest float32 form")
	}
	// The prompt alone.
	s.post("/v1/completions", `{"prompt":"abc","max_tokens":0,"echo":true,"logprobs":1}`).ok(&c)
	if ch := c.Choices[0]; ch.Text != "abc" || len(ch.Logprobs.Tokens) != 3 || *ch.FinishReason != "length" {
		t.Errorf("got %+v", ch)
	}
	// Its generation call, and its tokenizer.
	s.post("/v1/completions", `{"model":"tiny","prompt":["ab"],"max_tokens":4,"temperature":0,"stop":["\n\n"],"seed":1234}`).ok(&c)
	var info struct {
		EOS string `json:"eos_token"`
	}
	s.do("GET", "/tokenizer_info", "").ok(&info)
	if info.EOS != "[EOS]" {
		t.Errorf("tokenizer_info %+v", info)
	}
	var tok struct {
		Count, MaxModelLen int
		Tokens             []int32
	}
	s.post("/tokenize", `{"prompt":"BOS 가","add_special_tokens":true}`).ok(&tok)
	if tok.Count != 8 || tok.Tokens[0] != gatewaytest.BOS {
		t.Errorf("tokenize %+v", tok)
	}
	s.post("/tokenize", `{"prompt":"BOS 가","add_special_tokens":false}`).ok(&tok)
	if tok.Count != 7 {
		t.Errorf("tokenize %+v", tok)
	}
	var text struct{ Prompt string }
	s.post("/detokenize", fmt.Sprintf(`{"tokens":[234,176,128,%d]}`, gatewaytest.EOS)).ok(&text)
	if text.Prompt != "가[EOS]" {
		t.Errorf("detokenize %q", text.Prompt)
	}
}
