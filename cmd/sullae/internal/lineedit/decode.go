package lineedit

import (
	"bytes"
	"unicode/utf8"
)

const (
	pasteBegin = "200~" // after ESC [
	pasteEnd   = "\x1b[201~"

	// maxSequence bounds an escape sequence; what is longer is not one.
	maxSequence = 32
)

// decoder turns a terminal's bytes into keys. A read may end anywhere, so it
// keeps what is unfinished: half a syllable, half an escape sequence, a paste.
type decoder struct {
	pending []byte
	inPaste bool
}

// feed takes the bytes of one read and returns the keys that they complete.
func (d *decoder) feed(p []byte) []Key {
	d.pending = append(d.pending, p...)
	var keys []Key
	for len(d.pending) > 0 {
		key, n := d.next()
		if n == 0 {
			break
		}
		d.pending = d.pending[n:]
		if last := len(keys) - 1; key.Op == Text && last >= 0 && keys[last].Op == Text {
			keys[last].Text += key.Text
		} else if key.Op != Ignored {
			keys = append(keys, key)
		}
	}
	return keys
}

// next is the first key of the pending bytes and its length; 0 asks for more
// bytes.
func (d *decoder) next() (Key, int) {
	switch b := d.pending[0]; {
	case d.inPaste:
		return d.paste()
	case b == 0x1B:
		return d.escape()
	case b < 0x20 || b == 0x7F:
		return Key{Op: controls[b]}, 1
	case !utf8.FullRune(d.pending):
		return Key{}, 0
	}
	r, n := utf8.DecodeRune(d.pending)
	return Key{Text, string(r)}, n // a broken byte becomes U+FFFD
}

// paste takes everything up to the end mark as one text.
func (d *decoder) paste() (Key, int) {
	end := bytes.Index(d.pending, []byte(pasteEnd))
	if end < 0 {
		return Key{}, 0
	}
	d.inPaste = false
	return Key{Paste, string(bytes.ToValidUTF8(d.pending[:end], []byte("\uFFFD")))}, end + len(pasteEnd)
}

// escape reads what begins with ESC. An ESC before anything else than a known
// key is dropped, so that the Escape key itself does nothing.
func (d *decoder) escape() (Key, int) {
	if len(d.pending) == 1 {
		return Key{}, 0
	}
	switch b := d.pending[1]; b {
	case '[', 'O':
		return d.sequence(b)
	default:
		if op, ok := escaped[b]; ok {
			return Key{Op: op}, 2
		}
		return Key{}, 1
	}
}

// sequence reads ESC [ or ESC O, parameters, and the byte that ends them.
func (d *decoder) sequence(kind byte) (Key, int) {
	for i := 2; i < len(d.pending) && i < maxSequence; i++ {
		switch b := d.pending[i]; {
		case b == '[' && i == 2 && kind == '[': // a function key of Linux's console: one more byte
			if len(d.pending) == 3 {
				return Key{}, 0
			}
			return Key{}, 4
		case b >= 0x40 && b <= 0x7E:
			name := string(d.pending[2 : i+1])
			d.inPaste = kind == '[' && name == pasteBegin
			return Key{Op: sequences[name]}, i + 1
		case b < 0x20 || b > 0x7E: // not a sequence after all
			return Key{}, i
		}
	}
	if len(d.pending) >= maxSequence {
		return Key{}, maxSequence
	}
	return Key{}, 0
}
