package tokenizer

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func loadGolden(t testing.TB, name string, v any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

func exaone(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestGoldenEncode(t *testing.T) {
	tok := exaone(t)
	var cases []struct {
		Category, Text, Decoded string
		IDs                     []int32
	}
	loadGolden(t, "golden_encode.json", &cases)
	if len(cases) != 303 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		ids, err := tok.Encode(c.Text, EncodeOptions{ParseSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, c.IDs) {
			t.Errorf("%s: Encode(%q)\n have %v\n want %v", c.Category, c.Text, ids, c.IDs)
		}
		if got := tok.Decode(ids, false); got != c.Decoded {
			t.Errorf("%s: Decode\n have %q\n want %q", c.Category, got, c.Decoded)
		}
		// The file's post-processor adds nothing.
		with, err := tok.Encode(c.Text, EncodeOptions{ParseSpecial: true, AddSpecial: true})
		if err != nil || !slices.Equal(with, ids) {
			t.Errorf("%s: AddSpecial changes ids", c.Category)
		}
	}
}

func TestGoldenDecode(t *testing.T) {
	tok := exaone(t)
	var cases []struct {
		Name     string
		IDs      []int32
		BytesHex string `json:"bytes_hex"`
		Text     string
		Skipped  string   `json:"text_skip_special"`
		Pieces   []string `json:"pieces"`
		Flush    string
	}
	loadGolden(t, "golden_decode.json", &cases)
	if len(cases) != 124 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		if got := tok.Decode(c.IDs, false); got != c.Text {
			t.Errorf("%s: Decode\n have %q\n want %q", c.Name, got, c.Text)
		}
		if got := tok.Decode(c.IDs, true); got != c.Skipped {
			t.Errorf("%s: Decode, skipping\n have %q\n want %q", c.Name, got, c.Skipped)
		}
		var raw []byte
		for _, id := range c.IDs {
			b, ok := tok.TokenBytes(id)
			if !ok {
				t.Fatalf("%s: no bytes for %d", c.Name, id)
			}
			raw = append(raw, b...)
		}
		if got := hex.EncodeToString(raw); got != c.BytesHex {
			t.Errorf("%s: bytes\n have %s\n want %s", c.Name, got, c.BytesHex)
		}
		pieces, flush := stream(t, tok, c.IDs, false)
		if got := strings.Join(pieces, "") + flush; got != c.Text {
			t.Errorf("%s: stream\n have %q\n want %q", c.Name, got, c.Text)
		}
		// Where to cut is free; the one case that differs holds back the bytes of a
		// surrogate, of which none can begin a character.
		if c.Name != "surrogate" && (!slices.Equal(pieces, c.Pieces) || flush != c.Flush) {
			t.Errorf("%s: pieces\n have %q + %q\n want %q + %q", c.Name, pieces, flush, c.Pieces, c.Flush)
		}
		pieces, flush = stream(t, tok, c.IDs, true)
		if got := strings.Join(pieces, "") + flush; got != c.Skipped {
			t.Errorf("%s: stream, skipping\n have %q\n want %q", c.Name, got, c.Skipped)
		}
	}
}

// stream decodes ids one by one and checks what holds for any stream.
func stream(t testing.TB, tok *Tokenizer, ids []int32, skip bool) (pieces []string, flush string) {
	t.Helper()
	d := NewStreamDecoder(tok, skip)
	for _, id := range ids {
		p := d.Push(id)
		if !utf8.ValidString(p) {
			t.Fatalf("piece %q breaks a character", p)
		}
		pieces = append(pieces, p)
	}
	pending := d.Pending()
	flush = d.Flush()
	if pending != (flush != "") {
		t.Fatalf("Pending is %v, Flush gives %q", pending, flush)
	}
	if again := d.Flush(); again != "" {
		t.Fatalf("second Flush gives %q", again)
	}
	return pieces, flush
}

func TestAccessors(t *testing.T) {
	tok := exaone(t)
	if n, m := tok.VocabSize(), tok.Entries(); n != 4618 || m != 4618 {
		t.Errorf("sizes %d, %d", n, m)
	}
	if id, ok := tok.BOS(); id != 1 || !ok || tok.BOSToken() != "[BOS]" {
		t.Errorf("BOS %d %v %q", id, ok, tok.BOSToken())
	}
	if id, ok := tok.EOS(); id != 361 || !ok || tok.EOSToken() != "[|endofturn|]" {
		t.Errorf("EOS %d %v %q", id, ok, tok.EOSToken())
	}
	if !strings.Contains(tok.ChatTemplate(), "[|assistant|]") {
		t.Error("no chat template")
	}
	if _, ok := tok.NamedChatTemplate("tool_use"); ok {
		t.Error("a template that is not there")
	}
	if !tok.IsSpecial(361) || tok.IsSpecial(4) || tok.IsSpecial(-1) || tok.IsSpecial(1<<30) {
		t.Error("IsSpecial")
	}
	if id, ok := tok.TokenToID("[|endofturn|]"); id != 361 || !ok {
		t.Error("TokenToID")
	}
	if s, ok := tok.IDToToken(618); s != "Ġì" || !ok {
		t.Errorf("IDToToken(618) = %q", s)
	}
	for _, id := range []int32{-1, 4618, 1 << 30} {
		if _, ok := tok.IDToToken(id); ok {
			t.Error("token out of range")
		}
		if _, ok := tok.TokenBytes(id); ok {
			t.Error("bytes out of range")
		}
		if got := tok.Decode([]int32{id}, false); got != "" {
			t.Errorf("id %d decodes to %q", id, got)
		}
	}
}

func TestSpecialsStayTextUnlessAsked(t *testing.T) {
	tok := exaone(t)
	const text = "[|endofturn|]  [PAD]"
	plain, err := tok.Encode(text, EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range plain {
		if tok.IsSpecial(id) {
			t.Errorf("special token %d in %v", id, plain)
		}
	}
	if got := tok.Decode(plain, true); got != text {
		t.Errorf("comes back as %q", got)
	}
	if !slices.Contains(plain, 33) { // the token of two spaces is added, but not special
		t.Errorf("no run of spaces in %v", plain)
	}
}
