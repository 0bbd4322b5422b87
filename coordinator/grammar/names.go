package grammar

// nameSpec is what propertyNames asks, which is of strings. It returns nil where no
// name fits.
func (c *schemaCompiler) nameSpec(keys conjunction) *flat {
	f := c.flatten(keys)
	if f == nil {
		return nil
	}
	if len(f.groups) > 0 {
		c.fail(f.groups[0].at, "alternatives inside propertyNames are not supported")
		return nil
	}
	if c.namedTypes(f)&typeString == 0 {
		return nil
	}
	return f
}

// nameFits says whether a declared name satisfies propertyNames.
func (c *schemaCompiler) nameFits(keys conjunction, name string) bool {
	if len(keys) == 0 {
		return true
	}
	f := c.nameSpec(keys)
	if f == nil {
		return false
	}
	if values, ok := c.values(f); ok {
		for _, v := range values {
			if v.kind == 's' && v.text == name {
				return true
			}
		}
		return false
	}
	s := c.stringSpec(f)
	return c.admits(&s, name)
}

// nameContent is the language of the names that satisfy propertyNames.
func (c *schemaCompiler) nameContent(keys conjunction) *automaton {
	f := c.nameSpec(keys)
	if f == nil {
		return nil
	}
	if values, ok := c.values(f); ok {
		var list []string
		for _, v := range values {
			if v.kind == 's' {
				list = append(list, v.text)
			}
		}
		return c.literals(list)
	}
	s := c.stringSpec(f)
	return c.content(&s)
}
