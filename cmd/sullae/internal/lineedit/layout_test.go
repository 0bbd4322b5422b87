package lineedit

import (
	"slices"
	"strings"
	"testing"
)

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		name, prompt, text string
		width              int
		rows               []string
		row, col           int
	}{
		{"empty", "> ", "|", 10, []string{"> "}, 0, 2},
		{"Hangul takes two columns", "> ", "안녕|", 10, []string{"> 안녕"}, 0, 6},
		{"the cursor inside", "> ", "안|녕", 10, []string{"> 안녕"}, 0, 4},
		{"wrap", "> ", "가나다라|마", 10, []string{"> 가나다라", "마"}, 1, 0},
		{"a wide character is not cut", "> ", "a가나다|라", 10, []string{"> a가나다", "라"}, 1, 0},
		{"the cursor behind a full row", "> ", "가나다라|", 10, []string{"> 가나다라", ""}, 1, 0},
		{"emoji", "> ", family + flag + "|x", 10, []string{"> " + family + flag + "x"}, 0, 6},
		{"marks take none", "> ", eAcute + "|" + eAcute, 10, []string{"> " + eAcute + eAcute}, 0, 3},
		{"lines", "> ", "하나\n|둘", 10, []string{"> 하나", "  둘"}, 1, 2},
		{"the cursor before a line break", "> ", "하나|\n둘", 10, []string{"> 하나", "  둘"}, 0, 6},
		{"a line break behind a full row", "> ", "가나다라|\n마", 10, []string{"> 가나다라", "  마"}, 0, 9},
		{"an empty last line", "> ", "가\n|", 10, []string{"> 가", "  "}, 1, 2},
		{"tabs are blanks", "> ", "a\t|b", 12, []string{"> a    b"}, 0, 7},
		{"no room for the prompt", "질문> ", "가나|", 5, []string{"가나"}, 0, 4},
		{"no room at all", "> ", "가나|", 1, []string{"가", "나", ""}, 2, 0},
	} {
		before, after, _ := strings.Cut(c.text, "|")
		f := layout(c.prompt, before+after, len(before), c.width)
		if !slices.Equal(f.rows, c.rows) || f.row != c.row || f.col != c.col {
			t.Errorf("%s: got %q with the cursor at %d, %d; want %q, %d, %d", c.name, f.rows, f.row, f.col, c.rows, c.row, c.col)
		}
	}
}

func TestClip(t *testing.T) {
	rows := []string{"0", "1", "2", "3", "4"}
	for _, c := range []struct {
		row, height int
		first       string
		at          int
	}{
		{0, 3, "0", 0}, {1, 3, "1", 0}, {2, 3, "2", 0}, {4, 3, "2", 2}, {4, 5, "0", 4}, {3, 0, "3", 0},
	} {
		f := frame{rows: rows, row: c.row}.clip(c.height)
		if f.rows[0] != c.first || f.row != c.at || len(f.rows) > max(1, c.height) {
			t.Errorf("row %d in %d rows: shows %v, the cursor in %d", c.row, c.height, f.rows, f.row)
		}
	}
}

func TestAbove(t *testing.T) {
	f := frame{rows: []string{"> 가나다라", "마바"}, row: 1, col: 4}
	for width, want := range map[int]int{10: 1, 20: 1, 6: 2, 5: 2, 4: 4, 3: 5} {
		if got := f.above(width); got != want {
			t.Errorf("in %d columns: %d rows above, want %d", width, got, want)
		}
	}
}
