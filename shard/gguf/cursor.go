package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// cursor reads a header from front to back and keeps the first error, with its
// offset.
type cursor struct {
	r    *bufio.Reader
	at   int64
	size int64
	err  error
	buf  [8]byte
}

func newCursor(r io.ReaderAt, size int64) *cursor {
	return &cursor{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("offset %d: %s", c.at, fmt.Sprintf(format, args...))
	}
}

// room checks that n values of at least each bytes can follow.
func (c *cursor) room(n uint64, each int64) bool {
	if c.err == nil && n > uint64((c.size-c.at)/each) {
		c.fail("%d values of %d bytes or more, but %d bytes follow; the file is truncated or damaged", n, each, c.size-c.at)
	}
	return c.err == nil
}

// bytes reads n bytes; they are zero after an error.
func (c *cursor) bytes(n int) []byte {
	dst := c.buf[:]
	if n > len(dst) {
		dst = make([]byte, n)
	}
	dst = dst[:n]
	if c.err != nil {
		clear(dst)
		return dst
	}
	got, err := io.ReadFull(c.r, dst)
	if err != nil {
		clear(dst)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			c.fail("the file ends here; it is truncated")
		} else {
			c.fail("%v", err)
		}
	}
	c.at += int64(got)
	return dst
}

func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.bytes(4)) }
func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.bytes(8)) }

// text reads a string.
func (c *cursor) text() string {
	n := c.u64()
	if c.err == nil && n > maxString {
		c.fail("a string of %d bytes, which is not believed", n)
	}
	if !c.room(n, 1) {
		return ""
	}
	return string(c.bytes(int(n)))
}

// Value types of the format.
const (
	typeU8 = iota
	typeI8
	typeU16
	typeI16
	typeU32
	typeI32
	typeF32
	typeBool
	typeString
	typeArray
	typeU64
	typeI64
	typeF64
)

// valueBytes is the least size of a value.
var valueBytes = [...]int64{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

// value reads a value behind its type: an int64, uint64, float64, bool, string, or
// a slice of one of those.
func (c *cursor) value() any {
	kind := c.u32()
	if kind != typeArray {
		return c.scalar(kind)
	}
	kind = c.u32()
	n := c.u64()
	if c.err == nil && (kind == typeArray || kind >= uint32(len(valueBytes))) {
		c.fail("an array of values of type %d, which is not supported", kind)
	}
	if c.err != nil || !c.room(n, valueBytes[kind]) {
		return nil
	}
	switch kind {
	case typeString:
		return many(c, n, c.text)
	case typeBool:
		return many(c, n, func() bool { v, _ := c.scalar(kind).(bool); return v })
	case typeF32, typeF64:
		return many(c, n, func() float64 { v, _ := c.scalar(kind).(float64); return v })
	case typeU64:
		return many(c, n, func() uint64 { v, _ := c.scalar(kind).(uint64); return v })
	}
	return many(c, n, func() int64 { v, _ := c.scalar(kind).(int64); return v })
}

func many[T any](c *cursor, n uint64, one func() T) []T {
	var out []T
	for range n {
		v := one()
		if c.err != nil {
			return nil
		}
		out = append(out, v)
	}
	return out
}

func (c *cursor) scalar(kind uint32) any {
	switch kind {
	case typeU8:
		return int64(c.bytes(1)[0])
	case typeI8:
		return int64(int8(c.bytes(1)[0]))
	case typeU16:
		return int64(binary.LittleEndian.Uint16(c.bytes(2)))
	case typeI16:
		return int64(int16(binary.LittleEndian.Uint16(c.bytes(2))))
	case typeU32:
		return int64(c.u32())
	case typeI32:
		return int64(int32(c.u32()))
	case typeF32:
		return float64(math.Float32frombits(c.u32()))
	case typeBool:
		return c.bytes(1)[0] != 0
	case typeString:
		return c.text()
	case typeU64:
		return c.u64()
	case typeI64:
		return int64(c.u64())
	case typeF64:
		return math.Float64frombits(c.u64())
	}
	c.fail("a value of type %d, which the format does not have", kind)
	return nil
}
