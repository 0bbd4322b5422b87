package draft

import (
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name   string
		tokens []int32
		limit  int
		want   []int32
	}{
		{"nothing before", []int32{1, 2, 3, 4}, 3, nil},
		{"one token is too little", []int32{7, 1, 8, 1}, 3, nil},
		{"two tokens", []int32{1, 2, 3, 9, 1, 2}, 2, []int32{3, 9}},
		{"the latest place", []int32{1, 2, 3, 1, 2, 4, 5, 1, 2}, 1, []int32{4}},
		{"the longest end before the latest", []int32{5, 1, 2, 3, 1, 2, 4, 5, 1, 2}, 1, []int32{3}},
		{"no more than four", []int32{9, 1, 2, 3, 4, 5, 8, 1, 2, 3, 4, 6, 9, 1, 2, 3, 4}, 1, []int32{6}},
		{"no limit, no guess", []int32{1, 2, 3, 1, 2}, 0, nil},
		{"a loop goes on", []int32{1, 2, 1, 2}, 5, []int32{1, 2, 1, 2, 1}},
		{"one token again and again", []int32{3, 3, 3}, 3, []int32{3, 3, 3}},
		{"too short", []int32{1, 1}, 3, nil},
	} {
		if got := Lookup(c.tokens, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
