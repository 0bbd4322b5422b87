package tokenizer

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

// pipelines are small tokenizers that together have every step this package knows,
// with what Hugging Face's library makes of some texts.
type pipelines struct {
	Models    map[string]json.RawMessage
	Pipelines []struct {
		Name  string
		Patch map[string]json.RawMessage // over the testdata tokenizer
		Doc   map[string]json.RawMessage // or a whole file, its model named
		Cases []struct {
			Text    string
			IDs     []int32
			With    []int32 // with special tokens added, where that differs
			Decoded *string // of With, where that is not Text
			Skipped *string // without special tokens, where that is not Decoded
		}
	}
}

func TestPipelines(t *testing.T) {
	var all pipelines
	loadGolden(t, "pipelines.json", &all)
	raw, err := os.ReadFile("testdata/" + tokenizerFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Pipelines {
		t.Run(p.Name, func(t *testing.T) {
			doc := p.Doc
			if doc == nil {
				doc = patchDocument(t, raw, p.Patch)
			} else {
				var model string
				if err := json.Unmarshal(doc["model"], &model); err != nil {
					t.Fatal(err)
				}
				doc["model"] = all.Models[model]
			}
			tok, err := Read(fstest.MapFS{tokenizerFile: {Data: marshal(t, doc)}})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range p.Cases {
				check := func(add bool, want []int32) {
					got, err := tok.Encode(c.Text, EncodeOptions{AddSpecial: add, ParseSpecial: true})
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("Encode(%q)\n have %v %v\n want %v", c.Text, got, err, want)
					}
				}
				with := c.IDs
				if c.With != nil {
					with = c.With
				}
				check(false, c.IDs)
				check(true, with)
				decoded := c.Text
				if c.Decoded != nil {
					decoded = *c.Decoded
				}
				skipped := decoded
				if c.Skipped != nil {
					skipped = *c.Skipped
				}
				checkDecode(t, tok, with, false, decoded)
				checkDecode(t, tok, with, true, skipped)
			}
		})
	}
}

func checkDecode(t *testing.T, tok *Tokenizer, ids []int32, skip bool, want string) {
	t.Helper()
	if got := tok.Decode(ids, skip); got != want {
		t.Errorf("Decode(%v, %v)\n have %q\n want %q", ids, skip, got, want)
	}
	pieces, flush := stream(t, tok, ids, skip)
	joined := ""
	for _, p := range pieces {
		joined += p
	}
	if joined+flush != want {
		t.Errorf("stream(%v, %v)\n have %q\n want %q", ids, skip, joined+flush, want)
	}
}

// patchDocument replaces components; "add_added" and "model_patch" add to them.
func patchDocument(t testing.TB, raw []byte, patch map[string]json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	doc := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for key, value := range patch {
		switch key {
		case "add_added":
			var have, more []json.RawMessage
			unmarshal(t, doc["added_tokens"], &have)
			unmarshal(t, value, &more)
			doc["added_tokens"] = marshal(t, append(have, more...))
		case "model_patch":
			have, more := map[string]json.RawMessage{}, map[string]json.RawMessage{}
			unmarshal(t, doc["model"], &have)
			unmarshal(t, value, &more)
			maps.Copy(have, more)
			doc["model"] = marshal(t, have)
		default:
			doc[key] = value
		}
	}
	return doc
}

func unmarshal(t testing.TB, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
