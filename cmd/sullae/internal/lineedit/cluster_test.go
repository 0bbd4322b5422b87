package lineedit

import (
	"slices"
	"testing"
)

const (
	family = "👨\u200d👩\u200d👧" // joined by ZWJ
	flag   = "🇰🇷"
	heart  = "❤\ufe0f"
	thumb  = "👍🏽"
	eAcute = "e\u0301"            // a letter and a combining mark
	hanJ   = "\u1112\u1161\u11ab" // 한 as three conjoining jamo
)

func TestWidth(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0}, {"abc", 3}, {"한글", 4}, {"ㅎㅏㄴ", 6}, {hanJ, 2}, {"日本", 4}, {"ｱ", 1}, {"Ａ", 2},
		{family, 2}, {flag, 2}, {heart, 2}, {"❤", 1}, {thumb, 2}, {eAcute, 1}, {"e\u0301\u0302x", 2},
		{"…", 1}, {"①", 1}, {"a\tb", 2 + tabColumns}, {"₩1,000", 6},
	} {
		if got := Width(c.text); got != c.want {
			t.Errorf("Width(%q) = %d, want %d", c.text, got, c.want)
		}
	}
}

func TestBoundaries(t *testing.T) {
	for _, c := range []struct {
		text string
		want []int
	}{
		{"", nil},
		{"a한b", []int{1, 4, 5}},
		{hanJ + "국", []int{9, 12}},
		{family + "x", []int{len(family), len(family) + 1}},
		{flag + flag, []int{len(flag), 2 * len(flag)}},
		{eAcute + heart, []int{len(eAcute), len(eAcute + heart)}},
	} {
		var right, left []int
		for at := 0; at < len(c.text); {
			at = nextBoundary(c.text, at)
			right = append(right, at)
		}
		for at := len(c.text); at > 0; at = prevBoundary(c.text, at) {
			left = append(left, at)
		}
		slices.Reverse(left)
		if !slices.Equal(right, c.want) || !slices.Equal(left, c.want) {
			t.Errorf("%q: boundaries %v to the right, %v to the left, want %v", c.text, right, left, c.want)
		}
	}
	if got := snap(family, 5); got != len(family) {
		t.Errorf("snap into a cluster gives %d", got)
	}
}
