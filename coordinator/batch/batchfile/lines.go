package batchfile

import (
	"bufio"
	"errors"
	"io"
)

// Line is one line of a file.
type Line struct {
	Text    []byte // without its end; valid until the next line is read
	Number  int    // from 1
	Offset  int64  // of its first byte
	Size    int64  // with its end
	Whole   bool   // it has a line end
	TooLong bool   // Text is only its beginning
}

// lines reads a file line by line, whatever its size.
type lines struct {
	r    *bufio.Reader
	max  int
	next Line
	buf  []byte
}

func newLines(r io.Reader, maxBytes int) *lines {
	return &lines{r: bufio.NewReaderSize(r, 1<<16), max: maxBytes}
}

// Next is the next line; io.EOF after the last.
func (l *lines) Next() (Line, error) {
	line := Line{Number: l.next.Number + 1, Offset: l.next.Offset + l.next.Size}
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		line.Size += int64(len(part))
		if err == nil {
			line.Whole, part = true, part[:len(part)-1]
		}
		room := l.max - len(l.buf)
		if len(part) > room {
			line.TooLong, part = true, part[:room]
		}
		l.buf = append(l.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && line.Size == 0:
			return Line{}, io.EOF
		case err != nil && err != io.EOF:
			return Line{}, err
		}
		line.Text, l.next = l.buf, line
		return line, nil
	}
}
