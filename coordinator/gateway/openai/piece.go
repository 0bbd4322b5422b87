package openai

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/sullae/sullae/coordinator/gateway"
)

// pieces encodes a stream's most frequent events, those with a piece of text and
// nothing else, as marshal would: by filling the gaps of an event that marshal has
// encoded. It takes a fifth of the time.
type pieces map[int]*piece // by choice

// piece is a choice's event around the text and the tokens' ids; ids is false
// where they don't belong in it.
type piece struct {
	before, between, after []byte
	ids                    bool
}

// What stands in the gaps. No valid token has this id, and no other text is a
// lone NUL.
const (
	gapText = "\x00"
	gapID   = math.MinInt32
)

// of is the piece that a delta's event is made of: nil where it has more than
// text. chunks makes the events of a delta.
func (p pieces) of(d *gateway.Delta, chunks func(gateway.Item) []any) *piece {
	if d == nil || d.Text == "" || d.ToolCalls != nil || d.Logprobs != nil || d.Finish != nil {
		return nil
	}
	if _, ok := p[d.Index]; !ok {
		p[d.Index] = newPiece(chunks(gateway.Item{Delta: &gateway.Delta{Index: d.Index, Text: gapText, TokenIDs: []int32{gapID}}}))
	}
	return p[d.Index]
}

func newPiece(chunks []any) *piece {
	if len(chunks) != 1 {
		return nil
	}
	whole, err := marshal(chunks[0])
	if err != nil {
		return nil
	}
	parts := bytes.Split(whole, []byte(`"\u0000"`))
	if len(parts) != 2 {
		return nil
	}
	p := &piece{before: parts[0], between: parts[1]}
	if b, a, ok := bytes.Cut(p.between, strconv.AppendInt(nil, gapID, 10)); ok {
		p.between, p.after, p.ids = b, a, true
	}
	return p
}

// append appends the event with a text and its tokens.
func (p *piece) append(b []byte, text string, ids []int32) []byte {
	b = appendString(append(b, p.before...), text)
	b = append(b, p.between...)
	if p.ids {
		for i, id := range ids {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(id), 10)
		}
	}
	return append(b, p.after...)
}

// appendString appends a string as marshal writes it.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		// U+2028 and U+2029, which begin with 0xe2, are escaped too.
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0xe2 {
			return appendMarshalled(b, s)
		}
	}
	if !utf8.ValidString(s) {
		return appendMarshalled(b, s)
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendMarshalled(b []byte, s string) []byte {
	quoted, _ := marshal(s) // strings always can be
	return append(b, quoted...)
}
