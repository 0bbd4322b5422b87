package tokenizer

const replacement = "\uFFFD"

// pushBytes appends the whole characters of what was held and piece, U+FFFD for
// what cannot become one, and holds the rest.
func (d *StreamDecoder) pushBytes(dst []byte, piece string) []byte {
	for d.held > 0 && len(piece) > 0 {
		d.hold[d.held] = piece[0]
		switch n, whole := charPart(d.hold[:d.held+1]); {
		case whole:
			dst = append(dst, d.hold[:n]...)
			piece, d.held = piece[1:], 0
		case n == d.held+1: // still unfinished
			piece, d.held = piece[1:], n
		default: // piece[0] does not continue it
			dst = append(dst, replacement...)
			d.held = 0
		}
	}
	for i := 0; i < len(piece); {
		if piece[i] < 0x80 {
			dst = append(dst, piece[i])
			i++
			continue
		}
		n, whole := charPart([]byte(piece[i:min(i+4, len(piece))]))
		switch {
		case whole:
			dst = append(dst, piece[i:i+n]...)
		case i+n == len(piece) && n > 0:
			d.held = copy(d.hold[:], piece[i:])
			return dst
		default:
			dst = append(dst, replacement...)
			n = max(n, 1)
		}
		i += n
	}
	return dst
}

// charPart returns how many bytes at the start of b belong to one character, and
// whether they are all of it. It is 0 where no character begins; a part that stops
// before the end of b can not be completed. These are the maximal subparts of the
// Unicode standard, chapter 3.9.
func charPart(b []byte) (n int, whole bool) {
	size, low, high := 0, byte(0x80), byte(0xBF)
	switch lead := b[0]; {
	case lead < 0x80:
		return 1, true
	case lead < 0xC2: // a continuation, or the overlong C0 and C1
		return 0, false
	case lead < 0xE0:
		size = 2
	case lead < 0xF0:
		size = 3
		if lead == 0xE0 {
			low = 0xA0 // below is overlong
		} else if lead == 0xED {
			high = 0x9F // above are surrogates
		}
	case lead < 0xF5:
		size = 4
		if lead == 0xF0 {
			low = 0x90 // below is overlong
		} else if lead == 0xF4 {
			high = 0x8F // above U+10FFFF
		}
	default:
		return 0, false
	}
	for n = 1; n < size; n++ {
		if n == len(b) || b[n] < low || b[n] > high {
			return n, false
		}
		low, high = 0x80, 0xBF
	}
	return size, true
}
