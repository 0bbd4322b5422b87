package chattemplate

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseInt is Python's int(text, base).
func parseInt(text string, base int) (value, bool) {
	text = strings.ToLower(strings.Map(asciiDigit, strings.TrimFunc(text, isPySpace)))
	sign := ""
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, text = strings.TrimPrefix(text[:1], "+"), text[1:]
	}
	for prefix, b := range map[string]int{"0x": 16, "0o": 8, "0b": 2} {
		if strings.HasPrefix(text, prefix) && (base == b || base == 0) {
			text, base = strings.TrimPrefix(text[2:], "_"), b
			break
		}
	}
	if base == 0 {
		base = 10
	}
	digits := "0123456789abcdefghijklmnopqrstuvwxyz"
	if text == "" || base < 2 || base > 36 || len(text) > maxNumberLen || digitsLen(text, digits[:base]) != len(text) {
		return nil, false
	}
	i, ok := new(big.Int).SetString(sign+strings.ReplaceAll(text, "_", ""), base)
	if !ok {
		return nil, false
	}
	return normalizeInt(i), true
}

// asciiDigit makes a digit of any script one of 0 to 9. Unicode has them in tens.
func asciiDigit(r rune) rune {
	if r < utf8.RuneSelf || !unicode.IsDigit(r) {
		return r
	}
	zero := r
	for unicode.IsDigit(zero - 1) {
		zero--
	}
	return '0' + (r-zero)%10
}

// parseFloat is Python's float(text).
func parseFloat(text string) (float64, bool) {
	text = strings.Map(asciiDigit, strings.TrimFunc(text, isPySpace))
	plain := strings.ReplaceAll(text, "_", "")
	for i := range len(text) { // an underscore stands between digits
		if text[i] == '_' && (i == 0 || i+1 == len(text) || !isDigit(text[i-1]) || !isDigit(text[i+1])) {
			return 0, false
		}
	}
	if len(plain) > maxNumberLen || strings.ContainsAny(plain, "xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// floatToInt cuts the fraction off.
func floatToInt(f float64) (value, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, false
	}
	i, _ := big.NewFloat(f).Int(nil)
	return normalizeInt(i), true
}

func intFilter(s *state, v value, a callArgs) value {
	args := a.bind("int", "default?", "base?")
	def := or(args[0], int64(0))
	s.defined(v)
	switch x := v.(type) {
	case string:
		if i, ok := parseInt(x, int(s.intArg("int", args[1], 10))); ok {
			return i
		}
		if f, ok := parseFloat(x); ok {
			if i, ok := floatToInt(f); ok {
				return i
			}
		}
		return def
	case float64:
		if i, ok := floatToInt(x); ok {
			return i
		}
		if math.IsInf(x, 0) {
			failf("cannot convert float infinity to integer")
		}
		return def
	case *big.Int:
		return x
	}
	if i, ok := asInt(v); ok {
		return i
	}
	return def
}

func floatFilter(s *state, v value, a callArgs) value {
	def := or(a.bind("float", "default?")[0], 0.0)
	s.defined(v)
	if text, ok := v.(string); ok {
		if f, ok := parseFloat(text); ok {
			return f
		}
		return def
	}
	if f, ok := asFloat(v); ok {
		return f
	}
	return def
}

// roundFilter rounds halves to even, as Python does, on the exact value.
func roundFilter(s *state, v value, a callArgs) value {
	args := a.bind("round", "precision?", "method?")
	precision := s.intArg("round", args[0], 0)
	method := s.strArg("round", or(args[1], "common"))
	s.defined(v)
	f, ok := asFloat(v)
	if !ok {
		failf("type %s doesn't define __round__ method", typeName(v))
	}
	if precision > 300 || precision < -300 {
		failf("round: precision %d is out of range", precision)
	}
	scale := math.Pow(10, math.Abs(float64(precision)))
	if precision < 0 {
		scale = 1 / scale
	}
	switch method {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	case "common":
	default:
		failf("method must be common, ceil or floor")
	}
	i, isInt := asInt(v)
	switch {
	case isInt && precision >= 0:
		return i
	case isInt:
		rounded, _ := floatToInt(math.RoundToEven(f*scale) / scale)
		return rounded
	case precision >= 0:
		rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(precision), 64), 64)
		return rounded
	}
	return math.RoundToEven(f*scale) / scale
}

func sumFilter(s *state, v value, a callArgs) value {
	args := a.bind("sum", "attribute?", "start?")
	total := or(args[1], int64(0))
	if _, ok := total.(string); ok {
		failf("sum() can't sum strings [use ''.join(seq) instead]")
	}
	get := s.getter(args[0], nil)
	for _, item := range s.iterate(v) {
		s.step()
		total = s.arith("+", total, get(item))
	}
	return total
}
