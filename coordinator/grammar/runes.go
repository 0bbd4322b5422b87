package grammar

import "unicode/utf8"

// runeRange is a range of code points, both ends included.
type runeRange struct{ lo, hi rune }

// anyRune is every character: Unicode without surrogates.
var anyRune = []runeRange{{0, utf8.MaxRune}}

const surrogateMin, surrogateMax = 0xD800, 0xDFFF

// except returns the code points of a that are not in b. b is sorted.
func except(a, b []runeRange) []runeRange {
	var out []runeRange
	for _, r := range a {
		lo := r.lo
		for _, x := range b {
			if x.hi < lo || x.lo > r.hi {
				continue
			}
			if x.lo > lo {
				out = append(out, runeRange{lo, x.lo - 1})
			}
			lo = x.hi + 1
		}
		if lo <= r.hi {
			out = append(out, runeRange{lo, r.hi})
		}
	}
	return out
}

func contains(rs []runeRange, c rune) bool {
	for _, r := range rs {
		if r.lo <= c && c <= r.hi {
			return true
		}
	}
	return false
}

// eachUTF8 cuts [lo, hi] into pieces whose encodings are exactly the byte sequences
// between two sequences of one length, compared byte by byte, and leaves out
// surrogates. After: Thompson's grep and Cox, Regular Expression Matching with a
// Virtual Machine, "UTF-8".
func eachUTF8(lo, hi rune, f func(lo, hi []byte)) {
	for _, last := range []rune{0x7F, 0x7FF, surrogateMin - 1, 0xFFFF, utf8.MaxRune} {
		if lo > hi {
			return
		}
		if lo >= surrogateMin && lo <= surrogateMax {
			lo = surrogateMax + 1
		}
		if lo > last || lo > hi {
			continue
		}
		splitUTF8(lo, min(hi, last), f)
		lo = last + 1
	}
}

// splitUTF8 is eachUTF8 where all encodings have the same length.
func splitUTF8(lo, hi rune, f func(lo, hi []byte)) {
	for shift := 6; shift <= 18; shift += 6 {
		if utf8.RuneLen(lo) <= shift/6 {
			break
		}
		mask := rune(1)<<shift - 1 // of the continuation bytes looked at
		if lo&^mask == hi&^mask {
			continue
		}
		if lo&mask != 0 {
			splitUTF8(lo, lo|mask, f)
			splitUTF8((lo|mask)+1, hi, f)
			return
		}
		if hi&mask != mask {
			splitUTF8(lo, hi&^mask-1, f)
			splitUTF8(hi&^mask, hi, f)
			return
		}
	}
	f(utf8.AppendRune(nil, lo), utf8.AppendRune(nil, hi))
}
