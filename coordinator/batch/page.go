package batch

import (
	"cmp"
	"slices"
	"strings"
)

// page is a part of a list, as OpenAI's clients ask for it.
type page struct {
	after string
	limit int
	asc   bool
}

// slicePage takes the page's part of what is given in any order.
func slicePage[T any](p page, all []T, order func(T) int64, id func(T) string) (part []T, more bool, err error) {
	slices.SortFunc(all, func(a, b T) int {
		c := cmp.Or(cmp.Compare(order(a), order(b)), strings.Compare(id(a), id(b)))
		if p.asc {
			return c
		}
		return -c
	})
	if p.after != "" {
		at := slices.IndexFunc(all, func(v T) bool { return id(v) == p.after })
		if at < 0 {
			return nil, false, invalid("after", "after: %q is not in the list", p.after)
		}
		all = all[at+1:]
	}
	if len(all) > p.limit {
		return all[:p.limit], true, nil
	}
	return all, false, nil
}
