package chattemplate

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// jsonWriter writes as Python's json.dumps does.
type jsonWriter struct {
	s                   *state
	b                   strings.Builder
	item, colon         string // between items, and between key and value
	indent              string // of one level
	lines               bool   // items on lines of their own
	sortKeys, onlyAscii bool
}

// toJSON is Hugging Face's tojson: unlike Jinja's it leaves HTML alone, keeps
// characters as they are and keys in order.
func toJSON(s *state, v value, a callArgs) value {
	args := a.bind("tojson", "ensure_ascii?", "indent?", "separators?", "sort_keys?")
	w := &jsonWriter{s: s, item: ", ", colon: ": ", onlyAscii: truthy(or(args[0], false)), sortKeys: truthy(or(args[3], false))}
	switch indent := or(args[1], nil).(type) {
	case nil:
	case string:
		w.indent, w.lines = indent, true
	default:
		n := s.intArg("tojson", indent, 0)
		s.spendTimes(n, 1)
		w.indent, w.lines = strings.Repeat(" ", int(max(n, 0))), true
	}
	if w.lines {
		w.item = ","
	}
	if sep := or(args[2], nil); sep != nil {
		pair := s.iterate(sep)
		if len(pair) != 2 {
			failf("tojson: separators must be two strings")
		}
		w.item, w.colon = s.strArg("tojson", pair[0]), s.strArg("tojson", pair[1])
	}
	w.value(v, 0)
	return w.b.String()
}

func (w *jsonWriter) write(text string) {
	w.s.spend(len(text))
	w.b.WriteString(text)
}

func (w *jsonWriter) newline(depth int) {
	if w.lines {
		w.s.spendTimes(int64(depth), len(w.indent))
		w.write("\n")
		w.b.WriteString(strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) value(v value, depth int) {
	w.s.step()
	if depth > w.s.limits.Depth {
		failf("tojson: value nests more than %d deep", w.s.limits.Depth)
	}
	switch v := v.(type) {
	case nil:
		w.write("null")
	case bool:
		w.write(strconv.FormatBool(v))
	case int64:
		w.write(strconv.FormatInt(v, 10))
	case *big.Int:
		w.write(v.String())
	case float64:
		w.write(jsonFloat(v))
	case string:
		w.str(v)
	case *list:
		w.array(v.items, depth)
	case *tuple:
		w.array(v.items, depth)
	case *dict:
		w.object(v, depth)
	default:
		failf("Object of type %s is not JSON serializable", typeName(v))
	}
}

func (w *jsonWriter) array(items []value, depth int) {
	if len(items) == 0 {
		w.write("[]")
		return
	}
	w.write("[")
	for i, item := range items {
		if i > 0 {
			w.write(w.item)
		}
		w.newline(depth + 1)
		w.value(item, depth+1)
	}
	w.newline(depth)
	w.write("]")
}

func (w *jsonWriter) object(d *dict, depth int) {
	if len(d.keys) == 0 {
		w.write("{}")
		return
	}
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if w.sortKeys {
		slices.SortStableFunc(order, func(i, j int) int { return w.s.compare("<", d.keys[i], d.keys[j]) })
	}
	w.write("{")
	for n, i := range order {
		if n > 0 {
			w.write(w.item)
		}
		w.newline(depth + 1)
		w.key(d.keys[i])
		w.write(w.colon)
		w.value(d.values[i], depth+1)
	}
	w.newline(depth)
	w.write("}")
}

// key writes keys that are no strings as strings.
func (w *jsonWriter) key(k value) {
	switch k := k.(type) {
	case string:
		w.str(k)
	case nil:
		w.write(`"null"`)
	case bool:
		w.write(strconv.Quote(strconv.FormatBool(k)))
	case int64, *big.Int:
		w.write(`"` + w.s.repr(k) + `"`)
	case float64:
		w.write(`"` + jsonFloat(k) + `"`)
	default:
		failf("keys must be str, int, float, bool or None, not %s", typeName(k))
	}
}

func jsonFloat(f float64) string {
	switch text := floatRepr(f); text {
	case "inf":
		return "Infinity"
	case "-inf":
		return "-Infinity"
	case "nan":
		return "NaN"
	default:
		return text
	}
}

var jsonEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`,
}

func (w *jsonWriter) str(text string) {
	w.s.spend(len(text) + 2)
	w.b.WriteByte('"')
	for _, r := range text {
		escape, ok := jsonEscapes[r]
		switch {
		case ok:
			w.b.WriteString(escape)
		case r < 0x20 || w.onlyAscii && r > 0x7E && r < 0x10000:
			fmt.Fprintf(&w.b, `\u%04x`, r)
		case w.onlyAscii && r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			w.b.WriteRune(r)
		}
	}
	w.b.WriteByte('"')
}
