package tokenizer

import (
	"fmt"
	"strings"
	"testing"
)

// mixedText is Korean and English prose and a little code, without much repetition.
func mixedText(bytes int) string {
	var b strings.Builder
	for i := 0; b.Len() < bytes; i++ {
		fmt.Fprintf(&b, "강강술래는 여럿이 손을 잡고 %d번째 원을 그리며 추는 춤이다. The dancers hold hands, and step %d follows step %d.\n", i, i+1, i)
		fmt.Fprintf(&b, "모델의 %d개 층을 나누어 계산한 값은 한 대에서 계산한 값과 같아야 합니다(차이 %d.%02d).\n", i%64, i%3, i%100)
		fmt.Fprintf(&b, "func step%d(x []float32) float32 { return x[%d] * 0.5 }\n\n", i, i%16)
	}
	return b.String()[:strings.LastIndexByte(b.String()[:bytes], '\n')]
}

func BenchmarkEncode(b *testing.B) {
	tok := exaone(b)
	text := mixedText(1 << 20)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tok.Encode(text, EncodeOptions{ParseSpecial: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeUncached is the same with no word seen before.
func BenchmarkEncodeUncached(b *testing.B) {
	tok := exaone(b)
	text := mixedText(1 << 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.bpe.cache = newWordCache()
		if _, err := tok.Encode(text, EncodeOptions{ParseSpecial: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeShortPrompt(b *testing.B) {
	tok := exaone(b)
	text := mixedText(1 << 10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tok.Encode(text, EncodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := exaone(b)
	text := mixedText(1 << 20)
	ids, err := tok.Encode(text, EncodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids, true)
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		exaone(b)
	}
}
