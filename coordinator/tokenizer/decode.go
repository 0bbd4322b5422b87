package tokenizer

// Decode returns the text of ids. With skipSpecial, special tokens leave nothing
// behind. An id without a token (a row that pads the model's vocabulary) leaves
// nothing behind either. Bytes that are no UTF-8 become U+FFFD, one for each
// maximal part of a character.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := NewStreamDecoder(t, skipSpecial)
	text := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		text = d.push(text, id)
	}
	return string(d.flush(text))
}

// StreamDecoder decodes a text token by token. What Push and Flush return, joined,
// is what [Tokenizer.Decode] returns for all ids; and no piece ends inside a
// character: its bytes wait until it is whole or turns out never to be.
//
// It is for one stream and one goroutine.
type StreamDecoder struct {
	t           *Tokenizer
	skipSpecial bool
	hold        [4]byte // the start of an unfinished character
	held        int
	stages      []stage // of a tokenizer that is not byte-level
}

// NewStreamDecoder returns a decoder at the start of a text.
func NewStreamDecoder(t *Tokenizer, skipSpecial bool) *StreamDecoder {
	d := &StreamDecoder{t: t, skipSpecial: skipSpecial}
	for _, mk := range t.decoder.chain {
		d.stages = append(d.stages, mk())
	}
	return d
}

// Push takes the next id and returns the text that is certain now, maybe none.
func (d *StreamDecoder) Push(id int32) string { return string(d.push(nil, id)) }

// Flush ends the text and returns what was held back. The decoder then stands at
// the start of a new text.
func (d *StreamDecoder) Flush() string { return string(d.flush(nil)) }

// Pending says whether text is held back: whether Flush would return any.
func (d *StreamDecoder) Pending() bool {
	if d.held > 0 {
		return true
	}
	for _, s := range d.stages {
		if f, ok := s.(*fallbackStage); ok && len(f.run) > 0 {
			return true
		}
	}
	return false
}

func (d *StreamDecoder) push(dst []byte, id int32) []byte {
	v := d.t.vocab
	if !v.lookup(id) || d.skipSpecial && v.special[id] {
		return dst
	}
	if !d.t.decoder.byteLevel {
		return d.pushStages(dst, v.pieces[id])
	}
	return d.pushBytes(dst, v.pieces[id])
}

func (d *StreamDecoder) pushStages(dst []byte, token string) []byte {
	d.feed(&dst, 0, token)
	return dst
}

// feed hands a token to stage i and what comes out to the next.
func (d *StreamDecoder) feed(dst *[]byte, i int, token string) {
	if i == len(d.stages) {
		*dst = append(*dst, token...)
		return
	}
	d.stages[i].push(token, func(out string) { d.feed(dst, i+1, out) })
}

func (d *StreamDecoder) flush(dst []byte) []byte {
	if len(d.stages) > 0 {
		dst = d.flushStages(dst)
	}
	if d.held > 0 {
		dst = append(dst, replacement...)
		d.held = 0
	}
	return dst
}

func (d *StreamDecoder) flushStages(dst []byte) []byte {
	for i, s := range d.stages {
		s.flush(func(out string) { d.feed(&dst, i+1, out) })
	}
	for i, mk := range d.t.decoder.chain {
		d.stages[i] = mk()
	}
	return dst
}
