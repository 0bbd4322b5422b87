package packcache

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// Encode is a unit as the bytes of its file. They depend on key and segments
// alone, so that a transfer may be taken up at another worker that has the unit.
func Encode(k Key, segments []Segment) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b, k, segments)
	return b.Bytes(), err
}

// Decode reads a unit out of the bytes of its file, every segment of which is
// checked. The unit's segments lie in data.
func Decode(k Key, data []byte) (*Unit, error) {
	u := &Unit{key: k, data: data}
	var err error
	if u.head, u.body, err = parse(data); err != nil {
		return nil, err
	}
	if u.head.Key != k {
		return nil, fmt.Errorf("%w: it is of %+v", errDamaged, u.head.Key)
	}
	for _, s := range u.head.Segments {
		if crc32.Checksum(u.body[s.Offset:][:s.Size], castagnoli) != s.CRC32C {
			return nil, fmt.Errorf("%w: segment %s: its checksum differs", errDamaged, s.Name)
		}
	}
	return u, nil
}

// OnDisk reports whether the unit came from a Cache.
func (u *Unit) OnDisk() bool { return u.c != nil }

// Bytes is the unit's file, valid until Close.
func (u *Unit) Bytes() []byte { return u.data }
