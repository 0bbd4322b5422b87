package gateway

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestStopMatcher(t *testing.T) {
	tests := []struct {
		name   string
		stops  []string
		pieces []string
		out    []string // per piece, then the flush unless stopped
		stop   string
	}{
		{"no stops", nil, []string{"ab", "c"}, []string{"ab", "c", ""}, ""},
		{"within a piece", []string{"END"}, []string{"one END two"}, []string{"one "}, "END"},
		{"over pieces", []string{"END"}, []string{"oneE", "N", "D!"}, []string{"one", "", ""}, "END"},
		{"a beginning that isn't one", []string{"END"}, []string{"E", "N", "d"}, []string{"", "", "ENd", ""}, ""},
		{"held to the end", []string{"END"}, []string{"x", "EN"}, []string{"x", "", "EN"}, ""},
		{"beginning within a beginning", []string{"aab"}, []string{"a", "a", "a", "b"}, []string{"", "", "a", ""}, "aab"},
		{"hangul", []string{"입니다"}, []string{"서울", "입", "니", "다."}, []string{"서울", "", "", ""}, "입니다"},
		{"the first to end wins", []string{"abcd", "bc"}, []string{"abcd"}, []string{"a"}, "bc"},
		{"of those that end together the longest", []string{"bc", "abc"}, []string{"xabc"}, []string{"x"}, "abc"},
		{"several beginnings", []string{"ab", "bcd"}, []string{"xb", "c", "a", "b"}, []string{"x", "", "bc", ""}, "ab"},
		{"line ends", []string{"\n\n"}, []string{"a\n", "\nb"}, []string{"a", ""}, "\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := stopMatcher{stops: tt.stops}
			var out []string
			stop := ""
			for _, p := range tt.pieces {
				var o string
				o, stop = m.push(p)
				out = append(out, o)
				if stop != "" {
					break
				}
			}
			if stop == "" {
				out = append(out, m.flush())
			}
			if stop != tt.stop || strings.Join(out, "|") != strings.Join(tt.out, "|") {
				t.Errorf("got %q stop %q, want %q stop %q", out, stop, tt.out, tt.stop)
			}
		})
	}
}

// Where the text is cut into pieces makes no difference, and nothing is held
// longer than it must be.
func TestStopMatcherCutsDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, 1+rng.IntN(n))
		for i := range b {
			b[i] = "abc"[rng.IntN(3)]
		}
		return string(b)
	}
	for range 3000 {
		text := word(30)
		stops := []string{word(4), word(4), word(3)}
		want, wantStop := whole(text, stops)
		m := stopMatcher{stops: stops}
		got, stop := "", ""
		for rest := text; rest != "" && stop == ""; {
			n := 1 + rng.IntN(min(4, len(rest)))
			var o string
			o, stop = m.push(rest[:n])
			got, rest = got+o, rest[n:]
		}
		if stop == "" {
			got += m.flush()
		}
		if got != want || stop != wantStop {
			t.Fatalf("%q with stops %q: got %q, %q; want %q, %q", text, stops, got, stop, want, wantStop)
		}
	}
}

// whole is the definition: the first end of any stop string, the longest there.
func whole(text string, stops []string) (string, string) {
	for end := 1; end <= len(text); end++ {
		best := ""
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > len(best) {
				best = s
			}
		}
		if best != "" {
			return text[:end-len(best)], best
		}
	}
	return text, ""
}
