package grammar

import (
	"encoding/binary"
	"unicode/utf8"
)

// class reads one character of the ranges, in UTF-8.
func (n *nfa) class(from int32, ranges []runeRange) int32 {
	if len(ranges) == 1 && ranges[0].lo == ranges[0].hi && utf8.ValidRune(ranges[0].lo) {
		return n.text(from, string(ranges[0].lo))
	}
	shape := n.shape(ranges)
	to := n.state()
	at := make([]int32, len(shape.states)) // state 0 of a shape is its end
	at[0] = to
	for i := 1; i < len(at); i++ {
		if at[i] = from; i != int(shape.start) {
			at[i] = n.state()
		}
	}
	if shape.start == 0 {
		return to // no character at all: to is never reached
	}
	for i := range shape.states {
		for _, a := range shape.states[i] {
			n.arc(at[i], nfaArc{kind: arcByte, lo: a.lo, hi: a.hi, to: at[a.to]})
		}
	}
	return to
}

// classShape is the smallest deterministic automaton of a class's encodings, to be put
// in wherever the class is used: \p{L}{1,100} is a hundred copies of it.
type classShape struct {
	states [][]byteArc
	start  int32
	known  map[string]int32 // states by their arcs
}

// encodings are the byte sequences between two, compared byte by byte.
type encodings struct{ lo, hi []byte }

func (n *nfa) shape(ranges []runeRange) *classShape {
	var key []byte
	for _, r := range ranges {
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(r.lo)), uint64(r.hi))
	}
	if s := n.shapes[string(key)]; s != nil {
		return s
	}
	s := &classShape{states: [][]byteArc{nil}, known: map[string]int32{}}
	var all []encodings
	for _, r := range ranges {
		eachUTF8(r.lo, r.hi, func(lo, hi []byte) { all = append(all, encodings{lo, hi}) })
	}
	if n.bud.takeWork(8 * len(all)) {
		s.start = s.state(all)
	} else {
		n.full = true
	}
	n.shapes[string(key)] = s
	return s
}

// state returns the state from which exactly the given rests of encodings lead to the
// end; equal states are one.
func (s *classShape) state(rests []encodings) int32 {
	if len(rests) == 0 || len(rests[0].lo) == 0 {
		return 0
	}
	var cut [257]bool
	var starts [256][]encodings
	for _, e := range rests {
		cut[e.lo[0]], cut[int(e.hi[0])+1] = true, true
	}
	var arcs []byteArc
	for _, e := range rests {
		for b := int(e.lo[0]); b <= int(e.hi[0]); b++ {
			if cut[b] || b == int(e.lo[0]) {
				starts[b] = append(starts[b], encodings{e.lo[1:], e.hi[1:]})
			}
		}
	}
	for b := 0; b < 256; b++ {
		if len(starts[b]) == 0 {
			continue
		}
		hi := b
		for hi+1 < 256 && !cut[hi+1] {
			hi++
		}
		arcs = appendArc(arcs, byteArc{byte(b), byte(hi), s.state(starts[b])})
	}
	var key []byte
	for _, a := range arcs {
		key = binary.AppendUvarint(append(key, a.lo, a.hi), uint64(a.to))
	}
	if id, ok := s.known[string(key)]; ok {
		return id
	}
	id := int32(len(s.states))
	s.states = append(s.states, arcs)
	s.known[string(key)] = id
	return id
}
