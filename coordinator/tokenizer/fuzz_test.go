package tokenizer

import (
	"os"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"
)

// FuzzReadTokenizer reads a tokenizer.json and a tokenizer_config.json from
// anywhere. What loads has to work.
func FuzzReadTokenizer(f *testing.F) {
	f.Add(tiny(nil), []byte(`{"bos_token":"<s>"}`))
	f.Add(tiny(map[string]string{"pre_tokenizer": "null", "decoder": `{"type":"ByteFallback"}`}), []byte(`{}`))
	f.Add(tiny(map[string]string{"normalizer": `{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Prepend","prepend":"x"}]}`}),
		[]byte(`{"tokenizer_class":"LlamaTokenizer","bos_token":"<s>","chat_template":"x"}`))
	f.Add(tiny(map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"a(?!b)|(?i:B)?"},"behavior":"MergedWithNext","invert":true}`}),
		[]byte(`{"added_tokens_decoder":{"5":{"content":" x","lstrip":true}}}`))
	f.Add(tiny(map[string]string{"decoder": `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`}), []byte(``))
	f.Fuzz(func(t *testing.T, doc, config []byte) {
		if len(doc) > 1<<16 || len(config) > 1<<16 {
			return
		}
		start := time.Now()
		tok, err := Read(fstest.MapFS{tokenizerFile: {Data: doc}, configFile: {Data: config}})
		if err != nil {
			return
		}
		ids, err := tok.Encode("ab <s>안녕 12\n x", EncodeOptions{AddSpecial: true, ParseSpecial: true})
		if err == nil {
			for _, id := range ids {
				if id < 0 || int(id) >= tok.VocabSize() {
					t.Fatalf("id %d of %d", id, tok.VocabSize())
				}
			}
			if !utf8.ValidString(tok.Decode(ids, false)) {
				t.Error("Decode gives no UTF-8")
			}
			stream(t, tok, ids, true)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// FuzzEncodeDecode: what goes in comes out normalized, whole or as a stream, and
// any bytes come out as text.
func FuzzEncodeDecode(f *testing.F) {
	tok := exaone(f)
	plain, err := Read(fstest.MapFS{tokenizerFile: {Data: withoutNormalizer(f)}})
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ Text string }
	loadGolden(f, "golden_encode.json", &cases)
	for _, c := range cases {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := tok.Encode(text, EncodeOptions{ParseSpecial: true})
		if (err == nil) != utf8.ValidString(text) {
			t.Fatalf("error %v", err)
		}
		if err != nil {
			raw := make([]int32, len(text))
			for i := range raw {
				raw[i] = 362 + int32(text[i]) // the byte alphabet, in some order
			}
			pieces, flush := stream(t, tok, raw, false)
			checkJoined(t, pieces, flush, tok.Decode(raw, false))
			return
		}
		want := ""
		for _, c := range tok.added.raw.cuts(nil, text, false) {
			part := text[c.start:c.end]
			if c.token == nil {
				part = normalize(tok.normalizers, part)
			}
			want += part
		}
		if got := tok.Decode(ids, false); got != want {
			t.Errorf("comes back as %q, want %q", got, want)
		}
		pieces, flush := stream(t, tok, ids, false)
		checkJoined(t, pieces, flush, want)
		ids, err = plain.Encode(text, EncodeOptions{})
		if got := plain.Decode(ids, true); err != nil || got != text {
			t.Errorf("without a normalizer it comes back as %q, %v", got, err)
		}
	})
}

func checkJoined(t *testing.T, pieces []string, flush, want string) {
	t.Helper()
	joined := ""
	for _, p := range pieces {
		joined += p
	}
	if joined+flush != want {
		t.Errorf("stream gives %q, want %q", joined+flush, want)
	}
}

func withoutNormalizer(t testing.TB) []byte {
	raw, err := os.ReadFile("testdata/" + tokenizerFile)
	if err != nil {
		t.Fatal(err)
	}
	doc := patchDocument(t, raw, nil)
	doc["normalizer"] = []byte("null")
	return marshal(t, doc)
}
