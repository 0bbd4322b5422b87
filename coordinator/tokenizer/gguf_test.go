package tokenizer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
)

// fromGGUF reads the tokenizer of a GGUF file's metadata.
func fromGGUF(t *testing.T, g *modeltest.GGUFFile) *tokenizer.Tokenizer {
	t.Helper()
	data := g.Bytes()
	f, err := gguf.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for name, read := range map[string]func() ([]byte, error){"tokenizer.json": f.TokenizerJSON, "tokenizer_config.json": f.TokenizerConfig} {
		data, err := read()
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	tok, err := tokenizer.Read(files)
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, files["tokenizer.json"].Data)
	}
	return tok
}

var encodeAll = tokenizer.EncodeOptions{AddSpecial: true, ParseSpecial: true}

// TestGGUFByteLevel: EXAONE's tokenizer out of a GGUF file gives the golden ids, and
// its chat template.
func TestGGUFByteLevel(t *testing.T) {
	g := &modeltest.GGUFFile{}
	modeltest.AddTokenizer(t, g, "testdata")
	got := fromGGUF(t, g)
	want, err := tokenizer.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if got.ChatTemplate() != want.ChatTemplate() || got.ChatTemplate() == "" || got.VocabSize() != want.VocabSize() {
		t.Errorf("vocabulary of %d, want %d; template %q", got.VocabSize(), want.VocabSize(), got.ChatTemplate())
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "golden_encode.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) < 100 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		ids, err := got.Encode(c.Text, encodeAll)
		if err != nil || !slices.Equal(ids, c.IDs) {
			t.Errorf("%q: %v, %v, want %v", c.Text, ids, err, c.IDs)
		}
	}
}

// TestGGUFSplits: words are cut as the file's tokenizer.ggml.pre says.
func TestGGUFSplits(t *testing.T) {
	for pre, want := range map[string][]string{
		"llama-bpe": {"ab", "123", "4"},
		"qwen2":     {"ab", "1", "2", "3", "4"},
		"gpt-4o":    {"ab", "123", "4"},
		"gpt-2":     {"ab", "1234"},
		"exaone4":   {"ab", "1234"},
	} {
		g := &modeltest.GGUFFile{}
		g.Set("tokenizer.ggml.model", "gpt2")
		g.Set("tokenizer.ggml.pre", pre)
		tokens := []string{"a", "b", "1", "2", "3", "4", "ab", "12", "123", "1234", "b1", "<|begin|>"}
		g.Set("tokenizer.ggml.tokens", tokens)
		g.Set("tokenizer.ggml.token_type", []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3})
		g.Set("tokenizer.ggml.merges", []string{"b 1", "a b", "1 2", "12 3", "123 4"})
		g.Set("tokenizer.ggml.bos_token_id", 11)
		g.Set("tokenizer.ggml.add_bos_token", true)
		tok := fromGGUF(t, g)
		ids, err := tok.Encode("ab1234<|begin|>", encodeAll)
		var got []string
		for _, id := range ids {
			got = append(got, tokens[id])
		}
		if want := slices.Concat([]string{"<|begin|>"}, want, []string{"<|begin|>"}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", pre, got, err, want)
		}
	}
}

// TestGGUFSentencePiece holds pieces with scores to the plainest form of their own
// algorithm: of all two neighbours that make a piece, those with the best score are
// put together, the leftmost first.
func TestGGUFSentencePiece(t *testing.T) {
	const space = "▁"
	pieces, types := []string{"<unk>", "<s>"}, []int{2, 3}
	for b := range 256 {
		pieces, types = append(pieces, fmt.Sprintf("<0x%02X>", b)), append(types, 6)
	}
	rng := rand.New(rand.NewPCG(3, 1))
	letters := []string{"a", "b", "c", "한", "글", space}
	seen := map[string]bool{}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			pieces, types = append(pieces, p), append(types, 1)
		}
	}
	for i := range 120 {
		p := letters[rng.IntN(len(letters))] + letters[rng.IntN(len(letters))]
		if i > 40 {
			p = pieces[max(258, len(pieces)-1-rng.IntN(30))] + letters[rng.IntN(len(letters))]
		}
		add(p)
	}
	for _, l := range letters {
		add(l)
	}
	scores, ids := make([]float32, len(pieces)), map[string]int32{}
	for id, p := range pieces {
		scores[id], ids[p] = -float32(id), int32(id)
	}
	for _, prefix := range []bool{true, false} {
		g := &modeltest.GGUFFile{}
		g.Set("tokenizer.ggml.model", "llama")
		g.Set("tokenizer.ggml.tokens", pieces)
		g.Set("tokenizer.ggml.token_type", types)
		g.Set("tokenizer.ggml.scores", scores)
		g.Set("tokenizer.ggml.unknown_token_id", 0)
		g.Set("tokenizer.ggml.bos_token_id", 1)
		g.Set("tokenizer.ggml.add_space_prefix", prefix)
		tok := fromGGUF(t, g)
		for range 300 {
			text := ""
			for range 1 + rng.IntN(14) {
				text += []string{"a", "b", "c", "한", "글", " ", "é", "\n"}[rng.IntN(8)]
			}
			parts := strings.Split(strings.ReplaceAll(text, " ", space), "")
			if prefix {
				parts = append([]string{space}, parts...)
			}
			for {
				best, at := int32(-1), -1
				for i := range len(parts) - 1 {
					if id, ok := ids[parts[i]+parts[i+1]]; ok && (at < 0 || id < best) {
						best, at = id, i
					}
				}
				if at < 0 {
					break
				}
				parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
			}
			want := []int32{1}
			for _, p := range parts {
				if id, ok := ids[p]; ok {
					want = append(want, id)
					continue
				}
				for _, b := range []byte(p) {
					want = append(want, int32(b)+2)
				}
			}
			got, err := tok.Encode(text, encodeAll)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("prefix %v, %q: %v, %v, want %v", prefix, text, got, err, want)
			}
			if back := tok.Decode(got[1:], false); back != text {
				t.Fatalf("prefix %v: %q became %q", prefix, text, back)
			}
		}
	}
}
