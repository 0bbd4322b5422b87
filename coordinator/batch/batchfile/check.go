package batchfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// maxProblems is how many problems of a file are told.
const maxProblems = 100

// InvalidError is a file with lines that cannot be used.
type InvalidError struct {
	Problems []*Problem // the first ones, by line
	More     int        // how many there are beyond
}

func (e *InvalidError) Error() string {
	if n := len(e.Problems) + e.More - 1; n > 0 {
		return fmt.Sprintf("%v, and %d more", e.Problems[0], n)
	}
	return e.Problems[0].Error()
}

// key stands for a custom_id: ids may be long and many, a hash is 16 bytes.
type key [16]byte

func keyOf(customID string) key {
	sum := sha256.Sum256([]byte(customID))
	return key(sum[:16])
}

// Index knows the requests of a checked file by custom_id, and which of them
// are answered. It takes about 40 bytes for each.
type Index struct {
	lines map[key]uint32 // to line numbers
	done  []uint64       // by line number
	left  int
}

// Check reads a whole file of requests, as a stream. A file with problems gives
// an *InvalidError; other errors are the reader's.
func Check(r io.Reader, rules Rules) (*Index, error) {
	x, in := &Index{lines: map[key]uint32{}}, NewReader(r, rules)
	invalid, last := &InvalidError{}, 0
	for {
		req, err := in.Next()
		if err == io.EOF {
			break
		}
		p, _ := errors.AsType[*Problem](err)
		switch {
		case p != nil:
		case err != nil:
			return nil, err
		default:
			k := keyOf(req.CustomID)
			if first, twice := x.lines[k]; twice {
				p = &Problem{req.Line, "duplicate_custom_id", "custom_id", fmt.Sprintf("custom_id %q is that of line %d, too", req.CustomID, first)}
				break
			}
			x.lines[k], last = uint32(req.Line), req.Line
			if rules.MaxRequests > 0 && len(x.lines) > rules.MaxRequests {
				return nil, &InvalidError{Problems: []*Problem{{0, "too_many_requests", "", fmt.Sprintf("more than %d requests", rules.MaxRequests)}}}
			}
		}
		if p == nil {
			continue
		}
		if len(invalid.Problems) < maxProblems {
			invalid.Problems = append(invalid.Problems, p)
		} else {
			invalid.More++
		}
	}
	if len(invalid.Problems) > 0 {
		return nil, invalid
	}
	if len(x.lines) == 0 {
		return nil, &InvalidError{Problems: []*Problem{{0, "empty_file", "", "the file has no requests"}}}
	}
	x.done, x.left = make([]uint64, last/64+1), len(x.lines)
	return x, nil
}

// Len is the number of requests.
func (x *Index) Len() int { return len(x.lines) }

// Left is how many of them are not answered.
func (x *Index) Left() int { return x.left }

// Line is a request's line number, 0 for an id that is not in the file.
func (x *Index) Line(customID string) int { return int(x.lines[keyOf(customID)]) }

// Answered reports whether the request of a line is.
func (x *Index) Answered(line int) bool { return x.done[line/64]>>(line%64)&1 == 1 }

// Mark takes a request for answered. The error tells of an id that is not in
// the file, or is answered already.
func (x *Index) Mark(customID string) error {
	line := x.Line(customID)
	switch {
	case line == 0:
		return fmt.Errorf("custom_id %q is not among the requests", customID)
	case x.Answered(line):
		return fmt.Errorf("custom_id %q is answered twice", customID)
	}
	x.done[line/64] |= 1 << (line % 64)
	x.left--
	return nil
}
