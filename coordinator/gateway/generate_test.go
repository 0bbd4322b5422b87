package gateway_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestEOSEndsAChoice(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("hi")})
	res := generate(t, s, gateway.Request{Prompts: text("x"), Output: gateway.Output{Logprobs: ptr(0)}})
	c := res.choices[0]
	if c.text != "hi" || !reflect.DeepEqual(c.ids, []int32{'h', 'i'}) {
		t.Errorf("got %q, ids %v: EOS belongs to neither", c.text, c.ids)
	}
	want := gateway.Finish{Reason: gateway.FinishStop, StopToken: gatewaytest.EOS, HasStopToken: true, EOS: true, CompletionTokens: 3}
	if *c.finish != want {
		t.Errorf("finish %+v, want %+v", *c.finish, want)
	}
	if len(c.logprobs) != 3 || c.logprobs[2].Token != "[EOS]" {
		t.Errorf("log-probabilities %+v: EOS has one, too", c.logprobs)
	}
}

func TestIgnoreEOSAndStopTokens(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: gatewaytest.Script('a', gatewaytest.EOS, 'b', 'c')}
	s := newService(t, e)
	res := generate(t, s, gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{IgnoreEOS: true, StopTokenIDs: []int32{'c'}}})
	c := res.choices[0]
	if c.text != "ab" || len(c.ids) != 3 {
		t.Errorf("got %q, ids %v", c.text, c.ids)
	}
	if f := c.finish; f.StopToken != 'c' || !f.HasStopToken || f.EOS || f.CompletionTokens != 4 {
		t.Errorf("finish %+v", f)
	}
	if got := e.Submitted()[0].StopTokens; !reflect.DeepEqual(got, []int32{'c'}) {
		t.Errorf("stop tokens %v", got)
	}
	res = generate(t, s, gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{IgnoreEOS: true, MaxTokens: ptr(3)},
		Output: gateway.Output{KeepSpecialTokens: true}})
	if got := res.choices[0].text; got != "a[EOS]b" {
		t.Errorf("special tokens kept: got %q", got)
	}
}

func TestHangulComesWhole(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("안녕")})
	res := generate(t, s, gateway.Request{Prompts: text("x")})
	if got := strings.Join(res.pieces, "|"); got != "||안|||녕|" {
		t.Errorf("pieces %q", got)
	}
	// Cut short, the last character shows as U+FFFD, and only at the end.
	res = generate(t, s, gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{MaxTokens: ptr(5)}})
	if got := strings.Join(res.pieces, "|"); got != "||안||\uFFFD" {
		t.Errorf("pieces %q", got)
	}
}

func TestStopStringOverTokensCancelsTheSequence(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: gatewaytest.Script([]int32("...\nQ: more...")...), Step: make(chan struct{})}
	s := newService(t, e)
	go func() {
		for range 6 {
			e.Step <- struct{}{} // "...\nQ:", and then the engine would wait for ever
		}
	}()
	res := generate(t, s, gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{Stop: []string{"\nQ:", "zzz"}},
		Output: gateway.Output{Logprobs: ptr(0)}})
	c := res.choices[0]
	if c.text != "..." || c.finish.StopString != "\nQ:" || c.finish.CompletionTokens != 6 || len(c.ids) != 6 || len(c.logprobs) != 6 {
		t.Errorf("got %+v, finish %+v", c, c.finish)
	}
	if !e.Wait() || e.Cancelled() != 1 {
		t.Error("the engine's sequence was not cancelled")
	}
}

// A stop string ends the sequence although nobody reads the stream.
func TestStopStringWithASlowReader(t *testing.T) {
	e := &gatewaytest.Engine{Tokens: gatewaytest.Script([]int32("abc")...), Step: make(chan struct{})}
	s := newService(t, e)
	st, err := s.Generate(t.Context(), gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{Stop: []string{"abc"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for range 3 {
		e.Step <- struct{}{}
	}
	if !e.Wait() {
		t.Fatal("the engine still runs")
	}
	if c := collect(t, st).choices[0]; c.text != "" || c.finish.StopString != "abc" {
		t.Errorf("got %+v", c)
	}
}

// A stop string may end in the U+FFFD that a cut character leaves.
func TestStopStringInTheFlush(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{Tokens: gatewaytest.Script('a', 0xec)})
	res := generate(t, s, gateway.Request{Prompts: text("x"), Stopping: gateway.Stopping{MaxTokens: ptr(2), Stop: []string{"a\uFFFD"}}})
	if c := res.choices[0]; c.text != "" || c.finish.StopString != "a\uFFFD" || c.finish.Reason != gateway.FinishStop || c.finish.CompletionTokens != 2 {
		t.Errorf("got %+v %+v", c, c.finish)
	}
}

func TestChoicesAndPrompts(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := newService(t, e)
	prompts := []gateway.Prompt{gateway.Text("ab"), gateway.TokenIDs{'c'}, gateway.Chat{Messages: []gateway.Message{{Role: "user", Content: "x"}}}}
	res := generate(t, s, gateway.Request{ID: "r1", Prompts: prompts, N: ptr(2),
		Sampling: gateway.SamplingParams{Seed: ptr(uint64(7))}, Stopping: gateway.Stopping{MaxTokens: ptr(3)}})
	var got []string
	for _, c := range res.choices {
		got = append(got, c.text)
	}
	if want := []string{"aba", "aba", "ccc", "ccc", "use", "use"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i, seq := range e.Submitted() {
		if seq.Index != i || seq.RequestID != "r1" || seq.Sampling.Seed != gateway.ChoiceSeed(7, i%2) || seq.Logprobs != -1 || seq.PromptLogprobs != -1 {
			t.Errorf("sequence %d: %+v", i, seq)
		}
	}
	if len(e.Submitted()) != 6 {
		t.Errorf("%d sequences", len(e.Submitted()))
	}
}

func TestChoiceSeeds(t *testing.T) {
	if gateway.ChoiceSeed(7, 0) != 7 {
		t.Error("choice 0 has the request's own seed")
	}
	// Pinned: a client may ask for a choice again by its seed.
	if got := gateway.ChoiceSeed(0, 1); got != 0xe220a8397b1dcdaf {
		t.Errorf("SplitMix64(0) = %#x", got)
	}
	seen := map[uint64]bool{}
	for i := range 128 {
		seen[gateway.ChoiceSeed(9, i)] = true
	}
	if len(seen) != 128 {
		t.Error("two choices have one seed")
	}
}

func TestDefaults(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := newService(t, e)
	generate(t, s, gateway.Request{Prompts: text("abc")})
	generate(t, s, gateway.Request{Prompts: text("abc"), Stopping: gateway.Stopping{DefaultMaxTokens: 16}})
	generate(t, s, gateway.Request{Prompts: text(strings.Repeat("a", 990)), Stopping: gateway.Stopping{DefaultMaxTokens: 16}})
	generate(t, s, gateway.Request{Prompts: text("BOS x"), Stopping: gateway.Stopping{MaxTokens: ptr(1)},
		Sampling: gateway.SamplingParams{Temperature: ptr(float32(1e-6))}})
	generate(t, s, gateway.Request{Prompts: text("BOS x"), NoSpecialTokens: true, Stopping: gateway.Stopping{MaxTokens: ptr(1)}})
	got := e.Submitted()
	if want := (gateway.Sampling{Temperature: 1, TopP: 1, Seed: 42, RepetitionPenalty: 1}); !reflect.DeepEqual(got[0].Sampling, want) {
		t.Errorf("sampling %+v, want %+v", got[0].Sampling, want)
	}
	if got[0].MaxTokens != 997 || got[1].MaxTokens != 16 || got[2].MaxTokens != 10 {
		t.Errorf("max_tokens %d, %d, %d", got[0].MaxTokens, got[1].MaxTokens, got[2].MaxTokens)
	}
	if got[0].RequestID == "" || got[0].RequestID == got[1].RequestID {
		t.Error("requests have ids of their own")
	}
	if got[3].Sampling.Temperature != 0 {
		t.Error("a tiny temperature is greedy")
	}
	if got[3].Prompt[0] != gatewaytest.BOS || got[4].Prompt[0] != 'B' {
		t.Error("special tokens are added unless told otherwise")
	}
}

func TestPromptLogprobs(t *testing.T) {
	e := &gatewaytest.Engine{PromptChunk: 2}
	s := newService(t, e)
	res := generate(t, s, gateway.Request{Prompts: text("한abcd"), N: ptr(2),
		Stopping: gateway.Stopping{MaxTokens: ptr(1)}, Output: gateway.Output{PromptLogprobs: ptr(1), PromptText: true}})
	info := res.prompts[0]
	if info.Text != "한abcd" || len(info.Logprobs) != 7 {
		t.Fatalf("info %+v", info)
	}
	var offsets []int
	for i, l := range info.Logprobs {
		offsets = append(offsets, l.Offset)
		if i > 0 && l.Logprob != -0.1*float32(i+1) {
			t.Errorf("position %d: %v", i, l.Logprob)
		}
	}
	if want := []int{0, 0, 0, 1, 2, 3, 4}; !reflect.DeepEqual(offsets, want) {
		t.Errorf("offsets %v, want %v", offsets, want)
	}
	if info.Logprobs[0].Token != `bytes:\xed` || info.Logprobs[3].Token != "a" {
		t.Errorf("tokens %q %q", info.Logprobs[0].Token, info.Logprobs[3].Token)
	}
	if seqs := e.Submitted(); seqs[0].PromptLogprobs != 1 || seqs[1].PromptLogprobs != -1 {
		t.Error("one choice scores the prompt")
	}
}

func TestMaxTokensZero(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := newService(t, e)
	r := gateway.Request{Prompts: text("abc"), Stopping: gateway.Stopping{MaxTokens: ptr(0)}}
	res := generate(t, s, r)
	if f := res.choices[0].finish; res.err != nil || f == nil || f.Reason != gateway.FinishLength || f.CompletionTokens != 0 {
		t.Errorf("got %+v", res)
	}
	if len(e.Submitted()) != 0 {
		t.Error("there was nothing to run")
	}
	r.Output.PromptLogprobs = ptr(0)
	if res := generate(t, s, r); len(res.prompts[0].Logprobs) != 3 || len(e.Submitted()) != 1 {
		t.Errorf("got %+v", res.prompts[0])
	}
	down := error(&gateway.RetryError{Err: gateway.ErrUnavailable})
	e.ReadyErr.Store(&down)
	r.Output.PromptLogprobs = nil
	if res := generate(t, s, r); !errors.Is(res.err, gateway.ErrUnavailable) {
		t.Errorf("got %v", res.err)
	}
}

func TestWithoutTokenizer(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{}, func(c *gateway.Config) { c.Model.Tokenizer, c.Model.Template = nil, nil })
	res := generate(t, s, gateway.Request{Prompts: []gateway.Prompt{gateway.TokenIDs{5, 6}}, Stopping: gateway.Stopping{MaxTokens: ptr(2)},
		Output: gateway.Output{Logprobs: ptr(1), PromptText: true}})
	c := res.choices[0]
	if c.text != "" || !reflect.DeepEqual(c.ids, []int32{5, 6}) || c.logprobs[0].Token != "token_id:5" {
		t.Errorf("got %+v", c)
	}
	for _, r := range []gateway.Request{
		{Prompts: text("x")},
		{Prompts: []gateway.Prompt{gateway.Chat{Messages: []gateway.Message{{Role: "user"}}}}},
		{Prompts: []gateway.Prompt{gateway.TokenIDs{5}}, Stopping: gateway.Stopping{Stop: []string{"x"}}},
	} {
		if res := generate(t, s, r); !errors.Is(res.err, gateway.ErrNoTokenizer) || !strings.Contains(res.err.Error(), "send token ids") {
			t.Errorf("got %v", res.err)
		}
	}
}

func TestEngineErrors(t *testing.T) {
	boom := errors.New("boom")
	e := &gatewaytest.Engine{FailAt: 3, FailErr: boom}
	s := newService(t, e)
	res := generate(t, s, gateway.Request{Prompts: text("ab"), N: ptr(3)})
	if !errors.Is(res.err, boom) {
		t.Errorf("got %v", res.err)
	}
	full := error(&gateway.RetryError{Err: gateway.ErrOverloaded, After: 3 * time.Second})
	e.SubmitErr.Store(&full)
	res = generate(t, s, gateway.Request{Prompts: text("ab")})
	if !errors.Is(res.err, gateway.ErrOverloaded) || gateway.RetryAfter(res.err) != 3*time.Second {
		t.Errorf("got %v", res.err)
	}
}

func TestEngineThatBreaksItsWord(t *testing.T) {
	nan := float32(math.NaN())
	scored := gateway.Output{Logprobs: ptr(0), PromptLogprobs: ptr(0)}
	for name, events := range map[string][]gateway.Event{
		"no end":         {{Token: 'a', HasToken: true, Scores: &gateway.Scores{}}},
		"no scores":      {{Token: 'a', HasToken: true}},
		"NaN":            {{PromptFirst: 1, Prompt: []gateway.Scores{{Logprob: nan}}}},
		"not in order":   {{PromptFirst: 2, Prompt: []gateway.Scores{{}}}},
		"too many":       {{PromptFirst: 1, Prompt: []gateway.Scores{{}, {}, {}}}},
		"prompt unsored": {{Finish: gateway.FinishLength}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, &gatewaytest.Engine{}, func(c *gateway.Config) { c.Engine = fixed(events) })
			res := generate(t, s, gateway.Request{Prompts: text("abc"), Output: scored})
			if res.err == nil || !strings.Contains(res.err.Error(), "engine") {
				t.Errorf("got %v", res.err)
			}
		})
	}
}

type fixed []gateway.Event

func (f fixed) Ready() error { return nil }
func (f fixed) Submit(context.Context, gateway.Sequence) (<-chan gateway.Event, error) {
	out := make(chan gateway.Event, len(f))
	for _, ev := range f {
		out <- ev
	}
	close(out)
	return out, nil
}

func TestCancelAndClose(t *testing.T) {
	for _, how := range []string{"cancel", "close"} {
		t.Run(how, func(t *testing.T) {
			e := &gatewaytest.Engine{Step: make(chan struct{})}
			s := newService(t, e)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			st, err := s.Generate(ctx, gateway.Request{Prompts: text("ab"), N: ptr(4)})
			if err != nil {
				t.Fatal(err)
			}
			e.Step <- struct{}{}
			for range 2 {
				if _, err := st.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if how == "cancel" {
				cancel()
				if _, err := st.Next(); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			st.Close()
			st.Close()
			if !e.Wait() || e.Cancelled() != 4 {
				t.Errorf("%d of 4 sequences were cancelled", e.Cancelled())
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	s := newService(t, &gatewaytest.Engine{Step: make(chan struct{})})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	st, err := s.Generate(ctx, gateway.Request{Prompts: text("ab")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Next(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newService(t, &gatewaytest.Engine{Tokens: gatewaytest.Say("hello")}, func(c *gateway.Config) { c.Registry = reg })
	generate(t, s, gateway.Request{Prompts: text("abc")})
	generate(t, s, gateway.Request{Prompts: text("abc"), Stopping: gateway.Stopping{MaxTokens: ptr(2)}})
	for name, want := range map[string]float64{
		"vllm:prompt_tokens_total":           6,
		"vllm:generation_tokens_total":       8,
		"vllm:request_success_total{stop}":   1,
		"vllm:request_success_total{length}": 1,
		"vllm:request_success_total{abort}":  0,
		"vllm:request_success_total{error}":  0,
		"vllm:time_to_first_token_seconds":   2,
		"vllm:inter_token_latency_seconds":   6,
		"vllm:e2e_request_latency_seconds":   2,
		"vllm:request_params_n":              2,
	} {
		if got := gather(t, reg)[name]; got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// gather reads counters, and histograms' counts of samples.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "finished_reason" {
					name += "{" + l.GetValue() + "}"
				}
			}
			if h := m.GetHistogram(); h != nil {
				out[name] = float64(h.GetSampleCount())
			} else {
				out[name] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}

func TestPenalties(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := newService(t, e)
	generate(t, s, gateway.Request{Prompts: text("a"), Stopping: gateway.Stopping{MaxTokens: ptr(5), MinTokens: ptr(2)}, Sampling: gateway.SamplingParams{
		MinP: ptr(float32(0.1)), RepetitionPenalty: ptr(float32(1.2)), PresencePenalty: ptr(float32(-1)), FrequencyPenalty: ptr(float32(2)),
		LogitBias: map[int32]float32{7: 1, 3: -100}, BadWords: []string{"b"},
	}})
	got := e.Submitted()[0].Sampling
	if got.MinP != 0.1 || got.RepetitionPenalty != 1.2 || got.PresencePenalty != -1 || got.FrequencyPenalty != 2 || got.MinTokens != 2 ||
		!reflect.DeepEqual(got.Bias, []gateway.TokenBias{{ID: 3, Add: -100}, {ID: 7, Add: 1}}) || len(got.BadWords) == 0 {
		t.Errorf("sampling %+v", got)
	}
	for field, p := range map[string]gateway.SamplingParams{
		"min_p":              {MinP: ptr(float32(2))},
		"repetition_penalty": {RepetitionPenalty: ptr(float32(0))},
		"presence_penalty":   {PresencePenalty: ptr(float32(3))},
		"frequency_penalty":  {FrequencyPenalty: ptr(float32(-3))},
		"logit_bias":         {LogitBias: map[int32]float32{1: 101}},
		"bad_words":          {BadWords: []string{""}},
	} {
		_, err := s.Generate(t.Context(), gateway.Request{Prompts: text("a"), Sampling: p})
		if fe, ok := err.(*gateway.FieldError); !ok || fe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
