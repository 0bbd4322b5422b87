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
	"unicode/utf8"

	"github.com/sullae/sullae/kernels/tensor"
)

// maxHeader is the longest header that is read, the bound of the format's own
// library. After: huggingface/safetensors, MAX_HEADER_SIZE.
const maxHeader = 100_000_000

// maxDims is more dimensions than any tensor has.
const maxDims = 32

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
	if !ok || d.Coded() {
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
