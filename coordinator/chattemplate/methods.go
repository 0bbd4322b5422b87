package chattemplate

// dictMethods are Python's methods of dict that change nothing.
var dictMethods = map[string]func(s *state, d *dict, a callArgs) value{
	"items":  dictViewMethod("items"),
	"keys":   dictViewMethod("keys"),
	"values": dictViewMethod("values"),
	"get": func(s *state, d *dict, a callArgs) value {
		args := a.bind("get", "key", "default?")
		s.hashable(args[0])
		if v, ok := d.get(args[0]); ok {
			return v
		}
		return or(args[1], nil)
	},
	"copy": func(s *state, d *dict, a callArgs) value { return d }, // nobody can tell
}

func dictViewMethod(kind string) func(s *state, d *dict, a callArgs) value {
	return func(s *state, d *dict, a callArgs) value {
		a.bind(kind)
		return &dictView{kind, d}
	}
}

// sequenceMethods are those of lists and tuples that change nothing.
var sequenceMethods = map[string]func(s *state, items []value, a callArgs) value{
	"index": func(s *state, items []value, a callArgs) value {
		want := a.bind("index", "value")[0]
		for i, item := range items {
			if s.equal(item, want) {
				return int64(i)
			}
		}
		failf("%s is not in list", s.repr(want))
		return nil
	},
	"count": func(s *state, items []value, a callArgs) value {
		want := a.bind("count", "value")[0]
		n := int64(0)
		for _, item := range items {
			if s.equal(item, want) {
				n++
			}
		}
		return n
	},
}
