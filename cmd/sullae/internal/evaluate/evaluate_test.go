package evaluate

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// Every token but the first is scored once, with at least one token before it.
func TestWindows(t *testing.T) {
	for n := range 40 {
		for context := 2; context < 12; context++ {
			for stride := 1; stride < context; stride++ {
				next := 1
				for _, w := range Windows(n, context, stride) {
					if w.Score != next || w.Score <= w.From || w.To <= w.Score || w.To-w.From > context || w.To > n {
						t.Fatalf("n %d, context %d, stride %d: %+v, token %d is next", n, context, stride, w, next)
					}
					next = w.To
				}
				if n > 1 && next != n {
					t.Fatalf("n %d, context %d, stride %d: ends at %d", n, context, stride, next)
				}
			}
		}
	}
}

// letters is a tokenizer of a token per byte.
func letters(_ context.Context, text string) (ids []int32, _ error) {
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids, nil
}

// half gives every token a probability of a half, and a Z one of an eighth.
func half(_ context.Context, tokens []int32) ([]float32, error) {
	out := make([]float32, len(tokens)-1)
	for i, id := range tokens[1:] {
		out[i] = -math.Ln2
		if id == 'Z' {
			out[i] = -3 * math.Ln2
		}
	}
	return out, nil
}

func TestPerplexity(t *testing.T) {
	cfg := PerplexityConfig{Context: 4, Stride: 2, Parallel: 3, Tokenize: letters, Score: half, Done: &Done{}}
	p, err := MeasurePerplexity(t.Context(), cfg, "ab cd efgZ")
	if err != nil {
		t.Fatal(err)
	}
	near := func(have, want float64) bool { return math.Abs(have-want) < 1e-6*want }
	if p.Scored != 9 || p.Words != 3 || p.Windows != 4 || cfg.Done.Sequences.Load() != 4 {
		t.Errorf("got %+v", p)
	}
	if !near(p.Nats, 11*math.Ln2) || !near(p.Perplexity, math.Pow(2, 11./9)) || !near(p.PerWord, math.Pow(2, 11./3)) || !near(p.BitsPerByte, 1.1) {
		t.Errorf("got %+v", p)
	}
	if _, err := MeasurePerplexity(t.Context(), cfg, "a"); err == nil {
		t.Error("one token was scored")
	}
	broken := errors.New("gone")
	cfg.Score = func(context.Context, []int32) ([]float32, error) { return nil, broken }
	if _, err := MeasurePerplexity(t.Context(), cfg, "abcdefghijkl"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestReadQuestions(t *testing.T) {
	file := `{"prompt": "p", "choices": ["x", "y"], "answer": 1, "group": "g"}

{"prompt": "q", "choices": ["x", "y", "z"], "answer": "C"}
{"prompt": "q", "choices": ["B", "A"], "answer": "A"}`
	got, err := ReadQuestions(strings.NewReader(file), DefaultFormat, 0)
	want := []Question{{1, "p", []string{"x", "y"}, 1, "g"}, {3, "q", []string{"x", "y", "z"}, 2, ""}, {4, "q", []string{"B", "A"}, 1, ""}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	arc := Format{Prompt: "Q: {{ question.stem }}\nA:", Choices: "{{ question.choices | map(attribute='text') | list | tojson }}", Answer: "{{ answerKey }}", Group: "arc"}
	got, err = ReadQuestions(strings.NewReader(`{"question": {"stem": "왜?", "choices": [{"text": "a \"b\""}, {"text": "c"}]}, "answerKey": "B"}`), arc, 1)
	if err != nil || !reflect.DeepEqual(got, []Question{{1, "Q: 왜?\nA:", []string{`a "b"`, "c"}, 1, "arc"}}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for line, want := range map[string]string{
		`{"prompt": "p"`: "line 1: unexpected end",
		`{"prompt": "p", "choices": ["x"], "answer": 0}`:        "two texts or more",
		`{"prompt": "", "choices": ["x", "y"], "answer": 0}`:    "the prompt is empty",
		`{"prompt": "p", "choices": ["x", "y"], "answer": 2}`:   "answer: 2 is none of 0 to 1",
		`{"prompt": "p", "choices": ["x", "y"], "answer": "q"}`: "neither an index",
		`{"prompt": "p", "choices": ["x", ""], "answer": 0}`:    "text 1 is empty",
		`[1]`: "line 1",
		``:    "there are no questions",
	} {
		if _, err := ReadQuestions(strings.NewReader(line), DefaultFormat, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestChoices(t *testing.T) {
	cfg := ChoicesConfig{Delimiter: " ", Context: 12, Parallel: 2, Tokenize: letters, Score: half, Done: &Done{}}
	questions := []Question{
		// Likeliest is the shortest; per character those without Z.
		{Line: 1, Prompt: "ab ", Choices: []string{"Z", "abcdefgh"}, Answer: 1, Group: "x"},
		{Line: 2, Prompt: "ab", Choices: []string{"a", "Zb"}, Answer: 0, Group: "y"},
		// Per character Hangul is dear: three tokens each.
		{Line: 3, Prompt: "a prompt that is too long", Choices: []string{"가", "Z"}, Answer: 0, Group: "y"},
	}
	got, err := AnswerQuestions(t.Context(), cfg, questions)
	if err != nil {
		t.Fatal(err)
	}
	first := got[0]
	// The blank at the prompt's end goes with the choice: it is scored.
	if first.Tokens[0] != 3 || math.Abs(first.Logprob[0]+5*math.Ln2) > 1e-6 || first.Picked != 0 || first.PickedNorm != 1 || first.PickedByte != 1 {
		t.Errorf("got %+v", first)
	}
	if third := got[2]; !third.Truncated || third.Picked != 0 || third.PickedByte != 0 || first.Truncated {
		t.Errorf("got %+v", third)
	}
	all, groups := Summarize(got)
	if all.Questions != 3 || math.Abs(all.Acc-2./3) > 1e-9 || all.Norm != 1 || all.AccErr <= 0 || len(groups) != 2 || groups[1].Group != "y" || groups[1].Questions != 2 {
		t.Errorf("got %+v %+v", all, groups)
	}
	cfg.Context = 3
	if _, err := AnswerQuestions(t.Context(), cfg, questions[:1]); err == nil || !strings.Contains(err.Error(), "line 1, choice") {
		t.Errorf("error %v", err)
	}
}
