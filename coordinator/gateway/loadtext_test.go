package gateway_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

const tokenizerDir = "../tokenizer/testdata"

// The golden conversations: from messages to the prompt's ids, and from the
// generated ids to text, by the model's own files.
func TestGoldenConversations(t *testing.T) {
	m := gateway.Model{Name: "golden", MaxLen: 4096, Vocab: 1 << 16, EOS: []int32{361}}
	if err := m.LoadText(tokenizerDir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/golden_e2e.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Name, Kind, Prompt, Text string
			Messages                 []gateway.Message
			PromptIDs                []int32 `json:"prompt_ids"`
			MaxTokens                int     `json:"max_tokens"`
			GeneratedIDs             []int32 `json:"generated_ids"`
			FinishReason             string  `json:"finish_reason"`
			IgnoreEOSIDs             []int32 `json:"ignore_eos_ids"`
			IgnoreEOSText            string  `json:"ignore_eos_text"`
		}
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 10 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			e := &gatewaytest.Engine{Tokens: func(s gateway.Sequence) func(int) int32 {
				return func(i int) int32 { return append(c.IgnoreEOSIDs, 361)[i] }
			}}
			s := newService(t, e, func(cfg *gateway.Config) { cfg.Model = m })
			r := gateway.Request{Prompts: text(c.Prompt), Stopping: gateway.Stopping{MaxTokens: &c.MaxTokens}}
			if c.Kind == "chat" {
				r.Prompts = []gateway.Prompt{gateway.Chat{Messages: c.Messages}}
			}
			got := generate(t, s, r)
			if got.err != nil {
				t.Fatal(got.err)
			}
			ch := got.choices[0]
			if !reflect.DeepEqual(got.prompts[0].TokenIDs, c.PromptIDs) {
				t.Errorf("prompt ids %v\nwant %v", got.prompts[0].TokenIDs, c.PromptIDs)
			}
			if ch.text != c.Text || !reflect.DeepEqual(ch.ids, c.GeneratedIDs) || ch.finish.Reason.String() != c.FinishReason {
				t.Errorf("got %q %v %v\nwant %q %v %v", ch.text, ch.ids, ch.finish.Reason, c.Text, c.GeneratedIDs, c.FinishReason)
			}
			r.Stopping.IgnoreEOS = true
			ch = generate(t, s, r).choices[0]
			if ch.text != c.IgnoreEOSText || !reflect.DeepEqual(ch.ids, c.IgnoreEOSIDs) {
				t.Errorf("EOS ignored: got %q\nwant %q", ch.text, c.IgnoreEOSText)
			}
		})
	}
}

func TestLoadText(t *testing.T) {
	m := gateway.Model{Vocab: 1 << 16}
	if err := m.ReadText(fstest.MapFS{}); err != nil || m.Tokenizer != nil || m.Template != nil {
		t.Errorf("a folder without a tokenizer: %v, %+v", err, m)
	}
	m.Vocab = 10
	if err := m.LoadText(tokenizerDir); err == nil || !strings.Contains(err.Error(), "embedding has 10 rows") {
		t.Errorf("a tokenizer larger than the embedding: %v", err)
	}
	if m.Tokenizer != nil {
		t.Error("it was set all the same")
	}
	if err := m.ReadText(fstest.MapFS{"tokenizer.json": {Data: []byte("{")}}); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("a broken file: %v", err)
	}
}
