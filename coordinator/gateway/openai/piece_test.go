package openai

import (
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
)

// TestPieces: the events of text alone are those that marshal makes.
func TestPieces(t *testing.T) {
	for name, build := range map[string]func(ids, usage bool) func(gateway.Item) []any{
		"completion": func(ids, usage bool) func(gateway.Item) []any {
			b := &completionBuilder{req: &completionRequest{params: &params{returnIDs: ids, includeUsage: usage}}, n: 2,
				head: completion{ID: "cmpl-1", Object: "text_completion", Created: 5, Model: `a "model"`}}
			return b.chunks
		},
		"chat": func(ids, usage bool) func(gateway.Item) []any {
			b := &chatBuilder{req: &chatRequest{params: &params{returnIDs: ids, includeUsage: usage}}, n: 2, head: chatCompletion{ID: "chatcmpl-1", Model: "m"}}
			return b.chunks
		},
	} {
		for _, ids := range []bool{false, true} {
			for _, usage := range []bool{false, true} {
				chunks, p := build(ids, usage), pieces{}
				for _, d := range []gateway.Delta{
					{Text: "plain"}, {Index: 1, Text: "안녕 하세요", TokenIDs: []int32{5}}, {Index: 1, Text: "\"quoted\" \\ \n\t\x01\x7f <&>", TokenIDs: []int32{1, 2, 3}},
					{Text: "\u2028 line\u2029", TokenIDs: []int32{0}}, {Text: "broken \xff\xe2\x80", TokenIDs: []int32{9}}, {Text: gapText, TokenIDs: []int32{2}}, {Text: "-2147483648"},
				} {
					want := chunks(gateway.Item{Delta: &d})
					if len(want) != 1 {
						t.Fatalf("%s: %d chunks", name, len(want))
					}
					text, err := marshal(want[0])
					if err != nil {
						t.Fatal(err)
					}
					of := p.of(&d, chunks)
					if of == nil {
						t.Fatalf("%s: no piece for %+v", name, d)
					}
					if got := of.append([]byte("data: "), d.Text, d.TokenIDs); string(got) != "data: "+string(text) {
						t.Errorf("%s, ids %v, usage %v:\n%s\n%s", name, ids, usage, got, text)
					}
				}
				for _, d := range []gateway.Delta{{}, {Text: "x", Finish: &gateway.Finish{}}, {Text: "x", Logprobs: []gateway.TokenLogprob{{}}}, {Text: "x", ToolCalls: []gateway.ToolCallPiece{{Index: 7}}}} {
					if p.of(&d, chunks) != nil {
						t.Errorf("%s: a piece of %+v", name, d)
					}
				}
			}
		}
	}
}
