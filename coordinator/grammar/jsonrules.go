package grammar

// The rules of JSON itself, shared by all places that need them.

const (
	maxSpaces = 32 // of an indentation
	maxTabs   = 16
)

// around adds the white space that may stand after an opening bracket or a comma, or
// before a closing bracket.
func (c *schemaCompiler) around(n *nfa, from int32) int32 {
	if c.compact {
		return from
	}
	end := n.state()
	n.empty(from, end)
	n.empty(n.bytes(from, ' ', ' '), end)
	n.empty(n.call(n.bytes(from, '\n', '\n'), c.indentation()), end)
	return end
}

// colon adds what stands between a name and its value.
func (c *schemaCompiler) colon(n *nfa, from int32) int32 {
	from = n.bytes(from, ':', ':')
	if c.compact {
		return from
	}
	return n.optional(from, func(s int32) int32 { return n.bytes(s, ' ', ' ') })
}

func (c *schemaCompiler) indentation() int32 {
	return c.define("indentation", "#", func(n *nfa, from int32) int32 {
		return n.either(from,
			func(s int32) int32 {
				return n.repeat(s, 0, maxSpaces, func(s int32) int32 { return n.bytes(s, ' ', ' ') })
			},
			func(s int32) int32 {
				return n.repeat(s, 1, maxTabs, func(s int32) int32 { return n.bytes(s, '\t', '\t') })
			})
	})
}

// anyChar is one character of a JSON string, in any of the ways to write it.
func anyChar(n *nfa, from int32) int32 {
	end := n.class(from, except(anyRune, jsonEscaped))
	slash := n.bytes(from, '\\', '\\')
	for _, b := range []byte(`"\/bfnrt`) {
		n.empty(n.bytes(slash, b, b), end)
	}
	hex := func(s int32, sets ...string) int32 {
		for _, set := range sets {
			to := n.state()
			for i := 0; i < len(set); i += 2 {
				n.arc(s, nfaArc{kind: arcByte, lo: set[i], hi: set[i+1], to: to})
			}
			s = to
		}
		return s
	}
	const digit = "09afAF"
	u := n.bytes(slash, 'u', 'u')
	n.empty(hex(u, "09acefACEF", digit, digit, digit), end)
	d := hex(u, "ddDD")
	n.empty(hex(d, "07", digit, digit), end)
	// The two halves of a character beyond U+FFFF.
	low := n.text(hex(d, "89abAB", digit, digit), `\u`)
	n.empty(hex(low, "ddDD", "cfCF", digit, digit), end)
	return end
}

func (c *schemaCompiler) anyString() int32 {
	return c.define("string", "#", func(n *nfa, from int32) int32 {
		s := n.bytes(from, '"', '"')
		s = n.star(s, func(s int32) int32 { return anyChar(n, s) })
		return n.bytes(s, '"', '"')
	})
}

func (c *schemaCompiler) anyValue() int32 {
	return c.define("value", "#", func(n *nfa, from int32) int32 {
		end := n.state()
		for _, word := range []string{"null", "true", "false"} {
			n.empty(n.text(from, word), end)
		}
		for _, rule := range []int32{c.anyString(), c.number(numberSpec{}), c.anyArray(), c.anyObject()} {
			n.empty(n.call(from, rule), end)
		}
		return end
	})
}

func (c *schemaCompiler) anyArray() int32 {
	return c.define("array", "#", func(n *nfa, from int32) int32 {
		return c.list(n, from, '[', ']', func(s int32) int32 { return n.call(s, c.anyValue()) })
	})
}

func (c *schemaCompiler) anyObject() int32 {
	return c.define("object", "#", func(n *nfa, from int32) int32 {
		return c.list(n, from, '{', '}', func(s int32) int32 {
			return n.call(c.colon(n, n.call(s, c.anyString())), c.anyValue())
		})
	})
}

// list is any number of items between brackets.
func (c *schemaCompiler) list(n *nfa, from int32, open, shut byte, item part) int32 {
	s := n.bytes(from, open, open)
	first := c.around(n, s)
	after := item(first)
	n.empty(c.around(n, n.bytes(after, ',', ',')), first)
	end := n.state()
	n.empty(n.bytes(s, shut, shut), end)
	n.empty(n.bytes(c.around(n, after), shut, shut), end)
	return end
}
