package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

var forms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

// TestNormalizeByDefinition compares our slow way with x/text where that is right.
func TestNormalizeByDefinition(t *testing.T) {
	pool := []rune("aeouAEÅﬁ①½가각갂ᄀᄁ괔국ÑǖΐΰẤもか\u3099\u0301\u0300\u0323\u0307\u0327\u0345\u1161\u11a8\u1175\u0f71\u0f72\u0f74 .ﷺ한\u034f\u0600𝒜")
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			b.WriteRune(pool[r.IntN(len(pool))])
		}
		for name, form := range forms {
			if got, want := normalizeByDefinition(form, b.String()), form.String(b.String()); got != want {
				t.Errorf("%s(%+q)\n have %+q\n want %+q", name, b.String(), got, want)
			}
		}
	}
}

// TestManyMarks: nothing is put between marks, however many there are.
func TestManyMarks(t *testing.T) {
	above, below := strings.Repeat("\u0301", 40), strings.Repeat("\u0323", 40)
	for _, c := range []struct{ form, in, want string }{
		{"NFKC", "a" + above, "á" + above[2:]},
		{"NFD", "á" + above, "a\u0301" + above},
		{"NFC", "a" + above + below + "b", "ạ" + below[2:] + above + "b"},
		{"NFKC", "\u034f" + above + "ﬁ", "\u034f" + above + "fi"},
		{"NFKC", "㋿①" + above, "㋿1" + above},
	} {
		if got := normalForm(forms[c.form])(c.in); got != c.want {
			t.Errorf("%s(%+q)\n have %+q\n want %+q", c.form, c.in, got, c.want)
		}
	}
}

// TestUnicodeVersion has a character of each kind whose treatment depends on it.
func TestUnicodeVersion(t *testing.T) {
	for _, form := range forms {
		for _, s := range []string{"㋿", "\ua7f2", "\U00010781", "\U0001e030", "\U0001fbf0"} {
			if got := normalForm(form)("한글 " + s + " ½①"); !strings.Contains(got, s) {
				t.Errorf("%+q is normalized in %+q", s, got)
			}
		}
	}
	if !isLetter(0x2EBF0) || !isNumber(0x1CCF0) || isLetter('1') || isNumber('a') {
		t.Error("classes")
	}
	if got := lowercase("İSTANBUL ΑΣ"); got != "i\u0307stanbul ασ" {
		t.Errorf("%+q", got)
	}
}
