package packcache

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A file is: magic, the header's length and CRC-32C (both uint32, little-endian),
// the header as JSON, and the segments, each from a multiple of align on.
const (
	magic     = "sullaepack1\n"
	prefix    = len(magic) + 8
	maxHeader = 1 << 16
	align     = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("damaged")

// Segment is one weight's part of a unit.
type Segment struct {
	Name string
	Data []byte
}

type header struct {
	Key      Key             `json:"key"`
	Segments []segmentHeader `json:"segments"`
}

type segmentHeader struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"` // from the end of the header
	Size   int64  `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}

func roundUp(n int64) int64 { return (n + align - 1) &^ (align - 1) }

// write writes a unit's file.
func write(w io.Writer, k Key, segments []Segment) error {
	h := header{Key: k}
	var off int64
	for _, s := range segments {
		h.Segments = append(h.Segments, segmentHeader{s.Name, off, int64(len(s.Data)), crc32.Checksum(s.Data, castagnoli)})
		off = roundUp(off + int64(len(s.Data)))
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	head := make([]byte, roundUp(int64(prefix+len(text))))
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[len(magic):], uint32(len(text)))
	binary.LittleEndian.PutUint32(head[len(magic)+4:], crc32.Checksum(text, castagnoli))
	copy(head[prefix:], text)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, s := range segments {
		if _, err := w.Write(s.Data); err != nil {
			return err
		}
		if pad := roundUp(int64(len(s.Data))) - int64(len(s.Data)); pad > 0 {
			if _, err := w.Write(make([]byte, pad)); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse reads a file's header: its key, and where the segments lie in data.
func parse(data []byte) (*header, []byte, error) {
	if len(data) < prefix || string(data[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("%w: it does not begin as a unit", errDamaged)
	}
	n := binary.LittleEndian.Uint32(data[len(magic):])
	if n > maxHeader || int(n) > len(data)-prefix {
		return nil, nil, fmt.Errorf("%w: a header of %d bytes", errDamaged, n)
	}
	text := data[prefix:][:n]
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(data[len(magic)+4:]) {
		return nil, nil, fmt.Errorf("%w: the header's checksum differs", errDamaged)
	}
	h := &header{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(h); err != nil {
		return nil, nil, fmt.Errorf("%w: header: %v", errDamaged, err)
	}
	start := roundUp(int64(prefix) + int64(n))
	if start > int64(len(data)) {
		return nil, nil, fmt.Errorf("%w: cut off", errDamaged)
	}
	body := data[start:]
	for _, s := range h.Segments {
		if s.Offset < 0 || s.Size < 0 || s.Offset > int64(len(body)) || s.Size > int64(len(body))-s.Offset {
			return nil, nil, fmt.Errorf("%w: segment %s: bytes [%d, %d) of %d", errDamaged, s.Name, s.Offset, s.Offset+s.Size, len(body))
		}
	}
	return h, body, nil
}
