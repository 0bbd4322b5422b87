package chattemplate

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// dict is Python's dict: any hashable key, in the order of first insertion.
type dict struct {
	keys   []value
	values []value
	index  map[string]int
}

func newDict() *dict { return &dict{index: map[string]int{}} }

// maxKeyItems bounds the tuples within tuples of a key: few tuples can name each
// other so often that spelling them out would never end.
const maxKeyItems = 1000

// hashKey spells v so that equal keys spell the same: 1, 1.0 and True are one key.
func hashKey(v value) (string, bool) {
	items := 0
	return spellKey(v, &items)
}

func spellKey(v value, items *int) (string, bool) {
	switch v := v.(type) {
	case string:
		return "s" + v, true
	case nil:
		return "n", true
	case bool, int64:
		i, _ := asInt(v)
		return "i" + strconv.FormatInt(i, 10), true
	case *big.Int:
		return "i" + v.String(), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return "i" + strconv.FormatInt(int64(v), 10), true
		}
		return "f" + strconv.FormatFloat(v, 'g', -1, 64), true
	case *tuple:
		var b strings.Builder
		b.WriteByte('t')
		for _, item := range v.items {
			if *items++; *items > maxKeyItems {
				failf("tuple is too large for a key")
			}
			k, ok := spellKey(item, items)
			if !ok {
				return "", false
			}
			fmt.Fprintf(&b, "%d:%s", len(k), k)
		}
		return b.String(), true
	case *list, *dict, *dictView, *undefined:
		return "", false
	}
	return fmt.Sprintf("p%p", v), true
}

// set is for a dict that nobody has seen yet.
func (d *dict) set(key, v value) {
	k, ok := hashKey(key)
	if !ok {
		failf("unhashable type: '%s'", typeName(key))
	}
	if i, ok := d.index[k]; ok {
		d.values[i] = v
		return
	}
	d.index[k] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, v)
}

func (d *dict) get(key value) (value, bool) {
	if k, ok := hashKey(key); ok {
		if i, ok := d.index[k]; ok {
			return d.values[i], true
		}
	}
	return nil, false
}

func (d *dict) pairs() []value {
	pairs := make([]value, len(d.keys))
	for i := range d.keys {
		pairs[i] = &tuple{items: []value{d.keys[i], d.values[i]}}
	}
	return pairs
}

// dictFrom builds a dict as Python's dict(x, name=value) does.
func dictFrom(s *state, name string, a callArgs) *dict {
	d := newDict()
	if len(a.pos) > 1 {
		failf("%s expected at most 1 argument, got %d", name, len(a.pos))
	}
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*dict); ok {
			for i, k := range from.keys {
				d.set(k, from.values[i])
			}
		} else {
			for _, pair := range s.iterate(a.pos[0]) {
				kv := s.iterate(pair)
				if len(kv) != 2 {
					failf("dictionary update sequence element has length %d; 2 is required", len(kv))
				}
				d.set(kv[0], kv[1])
			}
		}
	}
	for _, kw := range a.kw {
		d.set(kw.name, kw.value)
	}
	s.spend(len(d.keys) * 32)
	return d
}
