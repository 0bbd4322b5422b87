package grammar

import (
	"math/big"
	"strings"
)

const (
	// floatDigits: decimals of up to 15 significant digits stay apart as float64, in
	// their order, so a bound that holds for the text holds for what is parsed from it.
	floatDigits   = 15
	integerDigits = 18 // fit an int64
)

// exactFloat says whether a bound has few enough digits for that.
func exactFloat(r *big.Rat) bool {
	d := decimalOf(r)
	return len(d.whole)+len(d.fraction) <= floatDigits
}

// decimal is the magnitude of a number, digit by digit; no trailing zeros in fraction.
type decimal struct{ whole, fraction string }

func decimalOf(r *big.Rat) decimal {
	text := new(big.Rat).Abs(r).FloatString(2 * maxDigits)
	whole, fraction, _ := strings.Cut(text, ".")
	return decimal{whole, strings.TrimRight(fraction, "0")}
}

// limits are the magnitudes that numbers of one sign may have.
type limits struct {
	none              bool // no number of this sign
	least, most       decimal
	limited           bool // most holds
	notLeast, notMost bool // exclusive
	precision         int  // digits at most
}

// ofSign are the limits of a spec for numbers below or from zero.
func (s *numberSpec) ofSign(negative bool) limits {
	lo, hi, above, below := s.min, s.max, s.above, s.below
	if negative {
		neg := func(r *big.Rat) *big.Rat {
			if r == nil {
				return nil
			}
			return new(big.Rat).Neg(r)
		}
		lo, hi, above, below = neg(s.max), neg(s.min), s.below, s.above
	}
	l := limits{least: decimal{whole: "0"}}
	if lo != nil && lo.Sign() >= 0 {
		l.least, l.notLeast = decimalOf(lo), above
	}
	if hi != nil {
		l.none = hi.Sign() < 0
		l.most, l.notMost, l.limited = decimalOf(hi), below, true
	}
	l.precision = floatDigits
	if s.integer {
		l.precision = integerDigits
	}
	l.precision = max(l.precision, len(l.least.whole), len(l.most.whole))
	return l
}

// digitState is a number being read, compared as it goes with both ends of the limits.
type digitState struct {
	phase       uint8
	negative    bool
	whole       uint8 // digits before the point
	fraction    uint8 // and after it
	least, most int8  // the digits so far against those of the limit
	rest        int16 // remainder
}

const (
	numStart uint8 = iota
	numMinus
	numZero // the digits before the point are 0
	numWhole
	numPoint
	numFraction
)

// numberAutomaton writes down the decimal texts, without exponent, that a spec admits.
func numberAutomaton(bud *budget, s *numberSpec) (*automaton, error) {
	signs := [2]limits{s.ofSign(false), s.ofSign(true)}
	of := func(d digitState) *limits {
		if d.negative {
			return &signs[1]
		}
		return &signs[0]
	}
	step := func(d digitState, b byte) (digitState, bool) {
		l := of(d)
		switch {
		case b == '-':
			ok := d.phase == numStart && !signs[1].none
			return digitState{phase: numMinus, negative: true}, ok
		case b == '.':
			if s.integer || d.phase != numZero && d.phase != numWhole {
				return d, false
			}
			d.least, d.most = l.least.compareWhole(d.whole, d.least), l.most.compareWhole(d.whole, d.most)
			d.phase = numPoint
			return d, true
		}
		if l.none || int(d.whole)+int(d.fraction) >= l.precision {
			return d, false
		}
		if s.multiple > 0 {
			d.rest = int16((int64(d.rest)*10 + int64(b-'0')) % s.multiple)
		}
		switch d.phase {
		case numStart, numMinus, numWhole:
			if d.phase == numMinus && s.integer && b == '0' {
				return d, false // -0
			}
			d.least = compareDigit(d.least, b, l.least.whole, d.whole)
			d.most = compareDigit(d.most, b, l.most.whole, d.whole)
			d.whole++
			if d.phase != numWhole {
				if d.phase = numWhole; b == '0' {
					d.phase = numZero
				}
			}
		case numPoint, numFraction:
			d.least = compareDigit(d.least, b, l.least.fraction, d.fraction)
			d.most = compareDigit(d.most, b, l.most.fraction, d.fraction)
			d.fraction++
			d.phase = numFraction
		default:
			return d, false // a digit after a leading zero
		}
		return d, true
	}
	accept := func(d digitState) bool {
		if d.phase != numZero && d.phase != numWhole && d.phase != numFraction || d.rest != 0 {
			return false
		}
		l := of(d)
		least, most := l.least.compareAll(d, d.least), l.most.compareAll(d, d.most)
		return (least > 0 || least == 0 && !l.notLeast) && (!l.limited || most < 0 || most == 0 && !l.notMost)
	}
	a, err := explore(bud, digitState{}, []byte("-.0123456789"), step, accept)
	if err != nil {
		return nil, err
	}
	return a.trim(), nil
}

// compareDigit goes on comparing with the digit at a place; digits that the limit
// lacks count as zeros, which is right for fractions and looked at by length else.
func compareDigit(so int8, b byte, limit string, at uint8) int8 {
	if so != 0 {
		return so
	}
	d := byte('0')
	if int(at) < len(limit) {
		d = limit[at]
	}
	switch {
	case b < d:
		return -1
	case b > d:
		return 1
	}
	return 0
}

// compareWhole compares the digits before the point, now that all are there.
func (d decimal) compareWhole(digits uint8, so int8) int8 {
	switch {
	case int(digits) < len(d.whole):
		return -1
	case int(digits) > len(d.whole):
		return 1
	}
	return so
}

// compareAll compares a finished number.
func (d decimal) compareAll(n digitState, so int8) int8 {
	if n.phase != numFraction {
		so = d.compareWhole(n.whole, so)
	}
	if so == 0 && len(d.fraction) > int(n.fraction) {
		return -1 // the limit's further digits are not all zero
	}
	return so
}
