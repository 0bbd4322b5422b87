package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInvalidUTF8(t *testing.T) {
	tok := exaone(t)
	for text, offset := range map[string]int{"\xff": 0, "안녕\xec\x95": 6, "a\ufffdb\xc3(": 5, "ok\xed\xa0\x80": 2} {
		_, err := tok.Encode(text, EncodeOptions{})
		var e *InvalidUTF8Error
		if !errors.As(err, &e) || e.Offset != offset {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := tok.Encode("\ufffd", EncodeOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := tok.Encode(strings.Repeat("x", maxTextBytes+1), EncodeOptions{}); err == nil {
		t.Error("no error for a text that is too long")
	}
}

// TestHugeWords: a quadratic step anywhere would take hours.
func TestHugeWords(t *testing.T) {
	tok := exaone(t)
	llama, err := readTiny(map[string]string{"pre_tokenizer": `{"type":"Sequence","pretokenizers":[
		{"type":"Split","pattern":{"Regex":"(?:\\p{L}+|\\s+(?!\\S)|\\s+)"},"behavior":"Isolated","invert":false},
		{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`}, "")
	if err != nil {
		t.Fatal(err)
	}
	const n = 1_000_000
	for name, text := range map[string]string{
		"letter":   strings.Repeat("a", n),
		"letters":  strings.Repeat("abcdefghij", n/10),
		"hangul":   strings.Repeat("가나다라마", n/5),
		"spaces":   strings.Repeat(" ", n),
		"newlines": strings.Repeat("\n", n),
		"marks":    "a" + strings.Repeat("\u0301", n),
		"digits":   strings.Repeat("7", n),
		"brackets": strings.Repeat("[", n),
		"almost":   strings.Repeat("[|endofturn|", n/12),
		"specials": strings.Repeat("[|endofturn|]", n/13),
		"jamo":     strings.Repeat("\u1100\u1161\u11a8", n/3),
		"ligature": strings.Repeat("\ufdfa", n/20),
	} {
		start := time.Now()
		ids, err := tok.Encode(text, EncodeOptions{ParseSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tok.Decode(ids, false), normalize(tok.normalizers, text); got != want {
			t.Errorf("%s: comes back wrong", name)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
	if ids, err := llama.Encode(strings.Repeat("ab", n/2), EncodeOptions{}); err != nil || len(ids) != n/2 {
		t.Errorf("%d ids, %v", len(ids), err)
	}
}

// TestMergeWays compares the two ways to merge, and both with the definition.
func TestMergeWays(t *testing.T) {
	tok := exaone(t)
	words := []string{"", "a", "hello", "안녕하세요", " international", "aaaaaaaaaaaaaaaaaaaaaaaa", "한국어모델은서울", "\x00\xff\xfe"}
	for _, w := range words {
		syms := tok.bpe.symbols(nil, w)
		small, large, plain := slices.Clone(syms), slices.Clone(syms), slices.Clone(syms)
		small = small[:tok.bpe.mergeSmall(small)]
		large = large[:tok.bpe.mergeLarge(large)]
		for {
			best, at := merge{rank: 1 << 31}, -1
			for i := range max(len(plain)-1, 0) {
				if m, ok := tok.bpe.merges.get(plain[i], plain[i+1]); ok && m.rank < best.rank {
					best, at = m, i
				}
			}
			if at < 0 {
				break
			}
			plain = slices.Replace(plain, at, at+2, best.id)
		}
		if !slices.Equal(small, plain) || !slices.Equal(large, plain) {
			t.Errorf("%q: %v, %v, want %v", w, small, large, plain)
		}
	}
}

func TestNormalizedAddedToken(t *testing.T) {
	// What is sought in normalized text is normalized itself.
	tok, err := readTiny(map[string]string{
		"normalizer":   `{"type":"NFKC"}`,
		"added_tokens": `[{"id":3,"content":"ＦＵＬＬ","normalized":true}]`,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"FULL", "ＦＵＬＬ"} {
		if ids, err := tok.Encode(text, EncodeOptions{}); err != nil || !slices.Equal(ids, []int32{3}) {
			t.Errorf("%q: %v %v", text, ids, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := exaone(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				text := fmt.Sprintf("동시에 %d worker %d 쓰는 words%d", g%3, i%7, i)
				ids, err := tok.Encode(text, EncodeOptions{ParseSpecial: i%2 == 0})
				if got := tok.Decode(ids, false); err != nil || got != text {
					t.Errorf("%q comes back as %q, %v", text, got, err)
				}
			}
		})
	}
	wg.Wait()
}
