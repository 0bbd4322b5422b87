package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sullae/sullae/kernels/tensor"
)

// maxHeader is the longest header that is read, the bound of the format's own
// library. After: huggingface/safetensors, MAX_HEADER_SIZE.
const maxHeader = 100_000_000

// elementBits are the types that the format knows. Those that no kernel takes
// may stand in a file all the same, as long as the model does not ask for them.
var elementBits = map[string]uint64{
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
	"I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}

// entry is one tensor of a header: bytes [Begin, End) of the data that follows
// the header.
type entry struct {
	Name       string
	Type       string // as the header says: "BF16"
	Shape      []int
	Begin, End int64
}

// dtype is the entry's type where kernels take it.
func (e entry) dtype() (tensor.DType, error) {
	d, ok := tensor.ParseDType(e.Type)
	if !ok {
		return d, fmt.Errorf("dtype %s is not supported; supported: F32, BF16, F16", e.Type)
	}
	return d, nil
}

// headerLength reads the first 8 bytes of a file of the given size and checks
// that so long a header fits.
func headerLength(first []byte, size int64) (int, error) {
	if size < 8 || len(first) < 8 {
		return 0, fmt.Errorf("%d bytes are too few for a safetensors file; download it again", size)
	}
	n := binary.LittleEndian.Uint64(first)
	switch {
	case n > uint64(size-8):
		return 0, fmt.Errorf("the header is said to be %d bytes long, but only %d follow; the file is truncated or no safetensors file", n, size-8)
	case n > maxHeader:
		return 0, fmt.Errorf("the header is said to be %d bytes long; at most %d are read", n, maxHeader)
	case n < 2:
		return 0, fmt.Errorf("the header is said to be %d bytes long; no safetensors header is so short", n)
	}
	return int(n), nil
}

// parseHeader reads a header's JSON strictly: every member known and of its
// type, no name twice, every tensor's bytes as many as its shape and type need,
// and all of them together exactly the dataSize bytes that follow, without a
// gap or an overlap. The entries come in the order of their data. What it
// allocates is bounded by a small multiple of len(text).
func parseHeader(text []byte, dataSize int64) ([]entry, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("the header is not UTF-8")
	}
	if text[0] != '{' {
		return nil, errors.New("the header does not start with {; this is no safetensors file")
	}
	p := &headerParser{dec: json.NewDecoder(bytes.NewReader(text)), seen: map[string]bool{}}
	p.dec.UseNumber()
	if err := p.object(p.member); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends too early")
		}
		return nil, fmt.Errorf("header: %w", err)
	}
	if rest := bytes.Trim(text[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("header: %d bytes follow its JSON object", len(rest))
	}
	slices.SortStableFunc(p.entries, func(a, b entry) int {
		if a.Begin != b.Begin {
			return cmp.Compare(a.Begin, b.Begin)
		}
		return cmp.Compare(a.End, b.End)
	})
	return p.entries, checkCover(p.entries, dataSize)
}

// checkCover reports the first gap, overlap or excess of entries in order.
func checkCover(entries []entry, dataSize int64) error {
	var at int64
	var before string
	for _, e := range entries {
		switch {
		case e.End > dataSize:
			return fmt.Errorf("tensor %s: data_offsets [%d, %d] end beyond the %d bytes of data; the file is truncated", quote(e.Name), e.Begin, e.End, dataSize)
		case e.Begin < at:
			return fmt.Errorf("tensor %s: data_offsets [%d, %d] overlap those of %s, which end at %d", quote(e.Name), e.Begin, e.End, quote(before), at)
		case e.Begin > at:
			return fmt.Errorf("tensor %s: data_offsets [%d, %d] leave %d bytes from %d that belong to no tensor", quote(e.Name), e.Begin, e.End, e.Begin-at, at)
		}
		at, before = e.End, e.Name
	}
	if at != dataSize {
		return fmt.Errorf("the last tensor ends at byte %d of the data, but there are %d; the header and the file do not belong together", at, dataSize)
	}
	return nil
}

// headerParser walks the header's JSON token by token, because decoding into
// structs would pass over repeated and misspelt members.
type headerParser struct {
	dec     *json.Decoder
	seen    map[string]bool
	entries []entry
}

// object reads an object and calls member for each key, which reads the value.
func (p *headerParser) object(member func(key string) error) error {
	if t, err := p.dec.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("%s where an object belongs", quote(t))
	}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		if err := member(t.(string)); err != nil { // a key is always a string
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

// member reads one member of the header: __metadata__ or a tensor.
func (p *headerParser) member(name string) error {
	if p.seen[name] {
		return fmt.Errorf("tensor %s appears twice", quote(name))
	}
	p.seen[name] = true
	if name == "__metadata__" {
		return p.object(func(key string) error {
			t, err := p.dec.Token()
			if _, ok := t.(string); err == nil && !ok {
				err = fmt.Errorf("__metadata__: %s: %s where a string belongs", quote(key), quote(t))
			}
			return err
		})
	}
	e := entry{Name: name, Begin: -1}
	err := p.object(func(key string) error {
		switch {
		case key == "dtype" && e.Type == "":
			t, err := p.dec.Token()
			if err != nil {
				return err
			}
			s, ok := t.(string)
			if !ok || elementBits[s] == 0 {
				return fmt.Errorf("dtype %s is not known", quote(t))
			}
			e.Type = s
		case key == "shape" && e.Shape == nil:
			dims, err := p.numbers("shape")
			if err != nil {
				return err
			}
			e.Shape = make([]int, len(dims))
			for i, d := range dims {
				e.Shape[i] = int(d)
			}
		case key == "data_offsets" && e.Begin < 0:
			at, err := p.numbers("data_offsets")
			if err != nil {
				return err
			}
			if len(at) != 2 || at[0] > at[1] {
				return fmt.Errorf("data_offsets %v are not a beginning and an end", at)
			}
			e.Begin, e.End = at[0], at[1]
		default:
			return fmt.Errorf("member %s is unknown or there twice", quote(key))
		}
		return nil
	})
	if err == nil {
		err = e.check()
	}
	if err != nil {
		return fmt.Errorf("tensor %s: %w", quote(name), err)
	}
	p.entries = append(p.entries, e)
	return nil
}

// numbers reads a list of whole numbers that are not negative.
func (p *headerParser) numbers(what string) ([]int64, error) {
	if t, err := p.dec.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('[') {
		return nil, fmt.Errorf("%s: %s where a list belongs", what, quote(t))
	}
	out := []int64{}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		num, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s: %s where a whole number belongs", what, quote(t))
		}
		v, err := strconv.ParseInt(num.String(), 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s: %s is not a whole number from 0 on that a file can have", what, quote(t))
		}
		out = append(out, v)
	}
	_, err := p.dec.Token()
	return out, err
}

// check reports whether the entry is whole and its bytes fit its shape.
func (e entry) check() error {
	switch {
	case e.Type == "":
		return errors.New("dtype is missing")
	case e.Shape == nil:
		return errors.New("shape is missing")
	case e.Begin < 0:
		return errors.New("data_offsets are missing")
	}
	n := elementBits[e.Type]
	var over uint64
	for _, d := range e.Shape {
		if over, n = bits.Mul64(n, uint64(d)); over != 0 {
			return fmt.Errorf("shape %v is larger than any file", e.Shape)
		}
	}
	if n%8 != 0 || n/8 != uint64(e.End-e.Begin) {
		return fmt.Errorf("shape %v of %s needs %d bytes, but data_offsets [%d, %d] hold %d", e.Shape, e.Type, n/8, e.Begin, e.End, e.End-e.Begin)
	}
	return nil
}

// quote shows a JSON token in an error, cut to a sane length.
func quote(t json.Token) string {
	s := fmt.Sprint(t)
	if str, ok := t.(string); ok {
		s = strconv.Quote(str)
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
