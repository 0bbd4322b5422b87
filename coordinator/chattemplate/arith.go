package chattemplate

import (
	"math"
	"math/bits"
	"strings"
)

type binaryExpr struct {
	op   string
	a, b expr
	line int
}

func (e *binaryExpr) eval(s *state) value {
	a := e.a.eval(s)
	b := e.b.eval(s)
	s.line = e.line
	s.step()
	return s.arith(e.op, a, b)
}

type signExpr struct {
	op   string
	e    expr
	line int
}

func (e *signExpr) eval(s *state) value {
	v := e.e.eval(s)
	s.line = e.line
	s.defined(v)
	if i, ok := asInt(v); ok {
		if e.op == "-" {
			return checkedInt(-i, i != math.MinInt64)
		}
		return i
	}
	f, ok := v.(float64)
	if !ok {
		failf("bad operand type for unary %s: '%s'", e.op, typeName(v))
	}
	if e.op == "-" {
		return -f
	}
	return f
}

func checkedInt(i int64, ok bool) value {
	if !ok {
		failf("integer is too large")
	}
	return i
}

func (s *state) arith(op string, a, b value) value {
	s.defined(a)
	if op == "+" {
		if v, ok := s.addMarkup(a, b); ok {
			return v
		}
	}
	a, b = unmarked(a), unmarked(b)
	if text, ok := a.(string); ok && op == "%" {
		return s.percentFormat(text, b)
	}
	s.defined(b)
	if v, ok := s.sequenceArith(op, a, b); ok {
		return v
	}
	i, aInt := asInt(a)
	j, bInt := asInt(b)
	if aInt && bInt && op != "/" && !(op == "**" && j < 0) {
		return intArith(op, i, j)
	}
	x, aNum := asFloat(a)
	y, bNum := asFloat(b)
	if !aNum || !bNum {
		failf("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	}
	return floatArith(op, x, y)
}

// sequenceArith joins and repeats strings and lists.
func (s *state) sequenceArith(op string, a, b value) (value, bool) {
	if op == "*" {
		if n, ok := asInt(a); ok {
			if _, isNum := asFloat(b); !isNum {
				return s.repeat(b, n)
			}
		} else if n, ok := asInt(b); ok {
			return s.repeat(a, n)
		}
		return nil, false
	}
	if op != "+" {
		return nil, false
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if !ok {
			failf("can only concatenate str (not \"%s\") to str", typeName(b))
		}
		s.spend(len(x) + len(y))
		return x + y, true
	case *list:
		if y, ok := b.(*list); ok {
			return &list{s.concatItems(x.items, y.items)}, true
		}
	case *tuple:
		if y, ok := b.(*tuple); ok {
			return &tuple{items: s.concatItems(x.items, y.items)}, true
		}
	}
	return nil, false
}

func (s *state) concatItems(a, b []value) []value {
	s.spend(16 * (len(a) + len(b)))
	return append(append(make([]value, 0, len(a)+len(b)), a...), b...)
}

func (s *state) repeat(v value, n int64) (value, bool) {
	n = max(n, 0)
	repeatItems := func(items []value) []value {
		s.spendTimes(n, 16*len(items))
		var out []value
		if len(items) > 0 {
			for range n {
				out = append(out, items...)
			}
		}
		return out
	}
	switch v := v.(type) {
	case string:
		s.spendTimes(n, len(v))
		if v == "" {
			return "", true
		}
		return strings.Repeat(v, int(n)), true
	case *list:
		return &list{repeatItems(v.items)}, true
	case *tuple:
		return &tuple{items: repeatItems(v.items)}, true
	}
	return nil, false
}

// intArith is Python's, whose // and % round down; what does not fit 64 bits fails.
func intArith(op string, i, j int64) value {
	switch op {
	case "+":
		sum := i + j
		return checkedInt(sum, (sum > i) == (j > 0))
	case "-":
		diff := i - j
		return checkedInt(diff, (diff < i) == (j > 0))
	case "*":
		return checkedMul(i, j)
	case "//", "%":
		if j == 0 {
			failf("integer division or modulo by zero")
		}
		if j == -1 {
			if op == "%" {
				return int64(0)
			}
			return checkedInt(-i, i != math.MinInt64)
		}
		q, r := i/j, i%j
		if r != 0 && (r < 0) != (j < 0) {
			q, r = q-1, r+j
		}
		if op == "//" {
			return q
		}
		return r
	}
	return intPower(i, j)
}

func checkedMul(i, j int64) value {
	abs := func(x int64) uint64 {
		if x < 0 {
			return -uint64(x)
		}
		return uint64(x)
	}
	high, low := bits.Mul64(abs(i), abs(j))
	negative := (i < 0) != (j < 0)
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	return checkedInt(i*j, high == 0 && low <= limit)
}

func intPower(base, exp int64) value {
	if base == 0 || base == 1 {
		if exp == 0 {
			return int64(1)
		}
		return base
	}
	if base == -1 {
		return 1 - 2*(exp&1)
	}
	if exp > 63 {
		failf("integer is too large")
	}
	result := value(int64(1))
	for range exp {
		result = checkedMul(result.(int64), base)
	}
	return result
}

func floatArith(op string, x, y float64) value {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "**":
		if x == 0 && y < 0 {
			failf("0.0 cannot be raised to a negative power")
		}
		if x < 0 && y != math.Trunc(y) {
			failf("complex numbers are not supported")
		}
		return math.Pow(x, y)
	}
	if y == 0 {
		failf("division by zero")
	}
	switch op {
	case "/":
		return x / y
	case "//":
		return math.Floor(x / y)
	}
	r := math.Mod(x, y)
	switch {
	case r == 0:
		return math.Copysign(0, y)
	case (r < 0) != (y < 0):
		return r + y
	}
	return r
}
