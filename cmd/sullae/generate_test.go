package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// generating is a cluster that sends these deltas.
func generating(deltas ...*sullaev1.Delta) *fakecluster.Cluster {
	return &fakecluster.Cluster{
		Models: []*sullaev1.Model{fakecluster.Text("m", 100)},
		OnGenerate: func(_ context.Context, _ *sullaev1.GenerateRequest, send func(*sullaev1.Delta) error) error {
			for _, d := range deltas {
				if err := send(d); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// of makes a delta one of another choice.
func of(index int32, d *sullaev1.Delta) *sullaev1.Delta {
	d.Index = index
	return d
}

var (
	stop   = sullaev1.FinishReason_FINISH_REASON_STOP
	length = sullaev1.FinishReason_FINISH_REASON_LENGTH
)

func runGenerate(t *testing.T, fake *fakecluster.Cluster, args, in string) (string, error) {
	t.Helper()
	c, err := parseClient(t, "generate --grpc "+fake.Start(t)+" "+args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = c.Generate.run(t.Context(), streams{strings.NewReader(in), &out, io.Discard})
	return out.String(), err
}

func TestGenerateText(t *testing.T) {
	scored := func() *sullaev1.Delta {
		d := fakecluster.Piece("서울", 7)
		d.Logprobs = []*sullaev1.TokenLogprob{{TokenId: 7, Token: "서울", Logprob: -0.25, Top: []*sullaev1.Alternative{{TokenId: 7, Token: "서울", Logprob: -0.25}, {TokenId: 9, Token: "a\n", Logprob: -3}}}}
		return d
	}
	ids := generating(fakecluster.Piece("", 5, 6), fakecluster.Piece("", 7), fakecluster.Last(length, 3))
	ids.Models[0].HasTokenizer = false
	for _, c := range []struct {
		name, args, in string
		fake           *fakecluster.Cluster
		want           string
	}{
		{"text", "x", "", generating(fakecluster.Piece("서", 1), fakecluster.Piece("울\n", 2), fakecluster.Piece("끝", 3), fakecluster.Last(stop, 3)), "서울\n끝\n"},
		{"a line break of its own", "x", "", generating(fakecluster.Piece("끝\n", 1), fakecluster.Last(stop, 1)), "끝\n"},
		{"nothing", "x --max-tokens 0", "", generating(fakecluster.Last(length, 0)), ""},
		{"choices in turn", "x --n 2", "", generating(of(1, fakecluster.Piece("나", 1)), fakecluster.Piece("가", 2), of(1, fakecluster.Last(stop, 1)), fakecluster.Piece("가", 2), fakecluster.Last(stop, 2)),
			"--- 1 of 2\n가가\n--- 2 of 2\n나\n"},
		{"log-probabilities", "x --logprobs 2", "", generating(scored(), fakecluster.Last(stop, 1)),
			"서울\ntoken  logprob  text    likeliest\n    7  -0.2500  \"서울\"  \"서울\" -0.2500  \"a\\n\" -3.0000\n"},
		{"token ids", "--token-ids 1,2", "", ids, "5,6,7\n"},
	} {
		got, err := runGenerate(t, c.fake, c.args, c.in)
		if got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestGenerateJSON(t *testing.T) {
	a := fakecluster.Piece("서", 5)
	a.Logprobs = []*sullaev1.TokenLogprob{{TokenId: 5, Token: "서", Logprob: -0.5, Top: []*sullaev1.Alternative{{TokenId: 6, Token: "<", Logprob: -0.125}}}}
	end := fakecluster.Last(stop, 2)
	end.Finish.Matched = &sullaev1.Finish_TokenId{TokenId: 361}
	got, err := runGenerate(t, generating(a, fakecluster.Piece("울", 6), end), "x --json --logprobs 1", "")
	want := `{"request_id":"req-1","model":"m","seed":42,"text":"서울","token_ids":[5,6],` +
		`"logprobs":[{"token_id":5,"token":"서","logprob":-0.5,"top":[{"token_id":6,"token":"<","logprob":-0.125}]}],` +
		`"finish_reason":"stop","stop":361,"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}` + "\n"
	if got != want || err != nil {
		t.Errorf("got\n%s%v, want\n%s", got, err, want)
	}
	got, err = runGenerate(t, generating(of(1, fakecluster.Piece("나", 1)), of(1, fakecluster.Last(length, 1)), fakecluster.Last(stop, 0)), "x --json --n 2", "")
	var o struct {
		Text    *string
		Choices []struct {
			Text         string
			TokenIDs     []int32 `json:"token_ids"`
			FinishReason string  `json:"finish_reason"`
		}
	}
	if err != nil || json.Unmarshal([]byte(got), &o) != nil || o.Text != nil || len(o.Choices) != 2 || o.Choices[0].TokenIDs == nil || o.Choices[1].Text != "나" || o.Choices[1].FinishReason != "length" {
		t.Errorf("two choices: %s%v", got, err)
	}
}

// What the flags say is what is sent.
func TestGenerateRequest(t *testing.T) {
	fake := generating(fakecluster.Last(stop, 0), of(1, fakecluster.Last(stop, 0)))
	if _, err := runGenerate(t, fake, "- --n 2 --stop a,b --ignore-eos --max-tokens 5 --logprobs 3", "여러\n줄\r\n"); err != nil {
		t.Fatal(err)
	}
	r := fake.Generated()[0]
	if r.GetText() != "여러\n줄" || r.GetModel() != "m" || r.GetN() != 2 || r.GetStopping().GetMaxTokens() != 5 || !r.GetStopping().GetIgnoreEos() ||
		len(r.GetStopping().GetStop()) != 1 || r.GetOutput().GetLogprobs() != 3 {
		t.Errorf("sent %v", r)
	}
	if s := r.GetSampling(); s.Temperature == nil || *s.Temperature != 0 || s.Seed != nil || s.TopP != nil || s.TopK != nil {
		t.Errorf("without flags: %v; want greedy", s)
	}
	fake = generating(fakecluster.Last(stop, 0))
	if _, err := runGenerate(t, fake, "x --seed 7", ""); err != nil {
		t.Fatal(err)
	}
	if s := fake.Generated()[0].GetSampling(); s.Temperature != nil || s.GetSeed() != 7 {
		t.Errorf("with --seed: %v; want the API's temperature", s)
	}
}

func TestGenerateErrors(t *testing.T) {
	broken := generating()
	broken.OnGenerate = func(_ context.Context, _ *sullaev1.GenerateRequest, send func(*sullaev1.Delta) error) error {
		return errors.Join(send(fakecluster.Piece("반", 1)), status.Error(codes.Internal, "rank 1 is lost"))
	}
	noText := generating()
	noText.Models[0].HasTokenizer = false
	for _, c := range []struct {
		name, args, in string
		fake           *fakecluster.Cluster
		out, want      string
	}{
		{"no prompt", "", "", generating(), "", "no prompt"},
		{"two prompts", "x --token-ids 1", "", generating(), "", "give one of them"},
		{"empty input", "-", "\n", generating(), "", "the input is empty"},
		{"not UTF-8", "-", "\xff", generating(), "", "not UTF-8"},
		{"no choices", "x --n 0", "", generating(), "", "--n 0"},
		{"unknown model", "x --model y", "", generating(), "", "--model y: not served"},
		{"no tokenizer", "x", "", noText, "", "--token-ids"},
		{"cut short", "x", "", generating(fakecluster.Piece("반", 1)), "반\n", "ended its answer before"},
		{"a choice too many", "x", "", generating(of(3, fakecluster.Piece("반", 1))), "", "choice 3 of 1"},
		{"failure", "x", "", broken, "반\n", "rank 1 is lost"},
		{"another service", "x", "", &fakecluster.Cluster{Models: []*sullaev1.Model{fakecluster.Text("m", 1)}}, "", "Unimplemented"},
	} {
		args := strings.TrimSpace(c.args)
		if args == "" {
			args = "--n 1"
		}
		got, err := runGenerate(t, c.fake, args, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != c.out {
			t.Errorf("%s: %q, %v; want %q, %q", c.name, got, err, c.out, c.want)
		}
	}
}
