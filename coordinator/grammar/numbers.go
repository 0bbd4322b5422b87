package grammar

import (
	"fmt"
	"math/big"
)

// numberSpec is what a conjunction asks of numbers.
type numberSpec struct {
	integer  bool
	min, max *big.Rat // nil: no bound
	// above, below: the bound itself is excluded.
	above, below bool
	multiple     int64 // 0: of anything
	at           string
}

// maxMultiple is the greatest multipleOf: remainders are states.
const maxMultiple = 1000

// numbers is the rule of a conjunction's numbers.
func (c *schemaCompiler) numbers(f *flat, types typeSet) int32 {
	return c.number(c.numberSpec(f, types))
}

func (c *schemaCompiler) numberSpec(f *flat, types typeSet) numberSpec {
	s := numberSpec{integer: types&typeFraction == 0, at: f.at}
	for _, n := range f.bare {
		s.raise(c.bound(n, "minimum"), false)
		s.raise(c.bound(n, "exclusiveMinimum"), true)
		s.lower(c.bound(n, "maximum"), false)
		s.lower(c.bound(n, "exclusiveMaximum"), true)
		if format := n.member("format"); format != nil {
			if b := numberFormats[format.text]; b[0] != "" {
				lo, _ := parseDecimal(b[0])
				hi, _ := parseDecimal(b[1])
				s.raise(lo, false)
				s.lower(hi, false)
			}
		}
		if m := c.bound(n, "multipleOf"); m != nil {
			at := n.member("multipleOf").at
			if !m.IsInt() || m.Sign() <= 0 || m.Num().Cmp(big.NewInt(maxMultiple)) > 0 {
				c.fail(at, "multipleOf is supported for whole numbers from 1 to %d only", maxMultiple)
				continue
			}
			k := m.Num().Int64()
			if s.multiple > 0 {
				k = s.multiple / gcd(s.multiple, k) * k
			}
			if k > maxMultiple {
				c.fail(at, "multipleOf and the others together ask for multiples of %d, more than %d", k, maxMultiple)
				continue
			}
			s.multiple, s.integer = k, true // a multiple of a whole number is one
		}
	}
	if s.integer {
		s.roundBounds()
	}
	return s
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// bound is the value of a keyword that is a number.
func (c *schemaCompiler) bound(n *jsonNode, name string) *big.Rat {
	v := n.member(name)
	if v == nil {
		return nil
	}
	if v.kind != '0' {
		c.fail(v.at, "%s must be a number, not %s", name, v.kindName())
		return nil
	}
	r, ok := parseDecimal(v.text)
	if !ok {
		c.fail(v.at, "%s has more than %d digits", name, maxDigits)
		return nil
	}
	return r
}

func (s *numberSpec) raise(to *big.Rat, exclusive bool) {
	if to == nil {
		return
	}
	if s.min == nil || to.Cmp(s.min) > 0 {
		s.min, s.above = to, exclusive
	} else if to.Cmp(s.min) == 0 {
		s.above = s.above || exclusive
	}
}

func (s *numberSpec) lower(to *big.Rat, exclusive bool) {
	if to == nil {
		return
	}
	if s.max == nil || to.Cmp(s.max) < 0 {
		s.max, s.below = to, exclusive
	} else if to.Cmp(s.max) == 0 {
		s.below = s.below || exclusive
	}
}

// roundBounds makes the bounds of integers whole and inclusive.
func (s *numberSpec) roundBounds() {
	one := big.NewRat(1, 1)
	if s.min != nil {
		m := new(big.Rat).SetInt(floor(s.min))
		if s.above || m.Cmp(s.min) < 0 {
			m.Add(m, one)
		}
		s.min, s.above = m, false
	}
	if s.max != nil {
		m := new(big.Rat).SetInt(floor(s.max))
		if s.below && m.Cmp(s.max) == 0 {
			m.Sub(m, one)
		}
		s.max, s.below = m, false
	}
}

// floor is the greatest integer not above r.
func floor(r *big.Rat) *big.Int {
	return new(big.Int).Div(r.Num(), r.Denom()) // Euclidean: rounds down, Denom() > 0
}

func (s *numberSpec) key() string {
	str := func(r *big.Rat) string {
		if r == nil {
			return "-"
		}
		return r.RatString()
	}
	return fmt.Sprintf("number %t %s %t %s %t %d", s.integer, str(s.min), s.above, str(s.max), s.below, s.multiple)
}

// admits says whether a number satisfies the spec.
func (s *numberSpec) admits(v *big.Rat) bool {
	if s.min != nil && (v.Cmp(s.min) < 0 || s.above && v.Cmp(s.min) == 0) {
		return false
	}
	if s.max != nil && (v.Cmp(s.max) > 0 || s.below && v.Cmp(s.max) == 0) {
		return false
	}
	if s.multiple == 0 {
		return !s.integer || v.IsInt()
	}
	return v.IsInt() && new(big.Int).Mod(v.Num(), big.NewInt(s.multiple)).Sign() == 0
}

// number is the rule of a spec.
func (c *schemaCompiler) number(s numberSpec) int32 {
	return c.define(s.key(), s.at, func(n *nfa, from int32) int32 {
		var a *automaton
		var err error
		switch {
		case s.min == nil && s.max == nil && s.multiple == 0 && s.integer:
			a, err = compilePattern(c.bud, `0|-?[1-9][0-9]{0,17}`, patternOptions{char: rawChar})
		case s.min == nil && s.max == nil && s.multiple == 0:
			a, err = compilePattern(c.bud, `-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?`, patternOptions{char: rawChar})
		default:
			if !s.integer && (s.above && !exactFloat(s.min) || s.below && !exactFloat(s.max)) {
				c.fail(s.at, "an exclusive bound has more than %d digits", floatDigits)
				return from
			}
			a, err = numberAutomaton(c.bud, &s)
		}
		if err != nil {
			c.fail(s.at, "the bounds and multipleOf are %v", err)
			return from
		}
		if a.empty() {
			c.impossible(s.at, "no number is within these bounds")
		}
		return n.embed(from, a)
	})
}
