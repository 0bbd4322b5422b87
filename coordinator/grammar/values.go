package grammar

// values are the values that enum and const leave, of those that the other keywords
// admit. ok is false where there is neither.
func (c *schemaCompiler) values(f *flat) (list []*jsonNode, ok bool) {
	for _, n := range f.bare {
		if v := n.member("enum"); v != nil {
			if v.kind != '[' {
				c.fail(v.at, "enum must be an array, not %s", v.kindName())
				return nil, true
			}
			list, ok = narrow(list, ok, v.items), true
		}
		if v := n.member("const"); v != nil {
			list, ok = narrow(list, ok, []*jsonNode{v}), true
		}
	}
	if !ok {
		return nil, false
	}
	var out []*jsonNode
	for _, v := range list {
		if c.fits(f, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		c.impossible(f.at, "no value of enum or const satisfies the other keywords")
	}
	return out, true
}

func narrow(list []*jsonNode, limited bool, to []*jsonNode) []*jsonNode {
	if !limited {
		return to
	}
	var out []*jsonNode
	for _, v := range list {
		for _, w := range to {
			if equalJSON(v, w) {
				out = append(out, v)
				break
			}
		}
	}
	return out
}

// typeOf is the type of a value, a single bit.
func typeOf(v *jsonNode) typeSet {
	switch v.kind {
	case 'n':
		return typeNull
	case 'b':
		return typeBoolean
	case 's':
		return typeString
	case '[':
		return typeArray
	case '{':
		return typeObject
	}
	if r, ok := parseDecimal(v.text); ok && r.IsInt() {
		return typeInteger
	}
	return typeFraction
}

// fits says whether a value satisfies the keywords other than enum and const.
func (c *schemaCompiler) fits(f *flat, v *jsonNode) bool {
	t := typeOf(v)
	if c.namedTypes(f)&t == 0 {
		return false
	}
	switch t {
	case typeString:
		spec := c.stringSpec(f)
		return c.admits(&spec, v.text)
	case typeInteger, typeFraction:
		spec := c.numberSpec(f, typeNumber)
		r, ok := parseDecimal(v.text)
		if !ok {
			c.fail(v.at, "the number has more than %d digits", maxDigits)
		}
		return ok && spec.admits(r)
	case typeArray, typeObject:
		for _, n := range f.bare {
			for i, name := range n.names {
				if families[name] == t {
					c.fail(n.items[i].at, "%s together with enum or const of such values is not supported", name)
				}
			}
		}
	}
	return true
}
