package batchfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxAnswerBytes bounds a line of a log when it is read again.
const maxAnswerBytes = 256 << 20

// Log is a file of answers. One process at a time has it open, and one
// goroutine at a time calls its methods.
type Log struct {
	f    *os.File
	size int64 // of the whole lines that are on the disk
}

// ErrLocked: another process writes this log.
var ErrLocked = errors.New("another process writes this file")

// OpenLog opens a log, made where it lacks. Recover comes before all else.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err == nil {
		err = Lock(f)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Log{f: f}, nil
}

// Recover reads the answers that are there, in order, and cuts off what a crash
// has left of an unfinished one. Anything else that is no answer is an error,
// and stays: the file may be somebody's work.
func (l *Log) Recover(each func(*Answer) error) error {
	if _, err := l.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := newLines(l.f, maxAnswerBytes)
	for l.size = 0; ; {
		line, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if torn(line) {
			return l.cut()
		}
		a, err := parseAnswer(line.Text)
		if err == nil && !line.Whole {
			err = errors.New("it has no line end")
		}
		if err == nil {
			err = each(a)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d is no answer to these requests: %w", l.f.Name(), line.Number, err)
		}
		l.size += line.Size
	}
}

// torn reports whether a line is what a killed process leaves, the beginning of
// an answer, or what a power cut does: blocks that were never written.
func torn(l Line) bool {
	if bytes.IndexByte(l.Text, 0) >= 0 {
		return true
	}
	const begin = `{"id":"` + answerPrefix
	n := min(len(begin), len(l.Text))
	return !l.Whole && strings.HasPrefix(begin, string(l.Text[:n]))
}

func (l *Log) cut() error {
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	return l.f.Sync()
}

// Append adds answers. When it returns nil they are on the disk; after an error
// none of them is, as far as the disk still obeys.
func (l *Log) Append(answers []Answer) error {
	var b []byte
	for i := range answers {
		line, err := answers[i].line()
		if err != nil {
			return err
		}
		b = append(b, line...)
	}
	_, err := l.f.WriteAt(b, l.size)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		return errors.Join(err, l.cut())
	}
	l.size += int64(len(b))
	return nil
}

// Size is the log's length in bytes.
func (l *Log) Size() int64 { return l.size }

// Close ends the use of the file.
func (l *Log) Close() error { return l.f.Close() }

// SyncDir puts on the disk which files a folder has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
