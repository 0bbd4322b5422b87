package batchfile

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Sort brings the answers in the order of their requests. The log is replaced
// by a new file in one step and is of no more use but to be closed.
func (l *Log) Sort(x *Index) error {
	type place struct {
		line         int
		offset, size int64
	}
	var places []place
	if _, err := l.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for in := newLines(l.f, maxAnswerBytes); ; {
		line, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		a, err := parseAnswer(line.Text)
		if err != nil {
			return err
		}
		places = append(places, place{x.Line(a.CustomID), line.Offset, line.Size})
	}
	byLine := func(a, b place) int { return cmp.Compare(a.line, b.line) }
	if slices.IsSortedFunc(places, byLine) {
		return nil
	}
	slices.SortFunc(places, byLine)

	path := l.f.Name()
	info, err := l.f.Stat()
	if err != nil {
		return err
	}
	// What a killed process left under this name is overwritten: the lock is held.
	out, err := os.OpenFile(path+".sorting", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	w := bufio.NewWriterSize(out, 1<<20)
	for _, p := range places {
		if _, err := io.Copy(w, io.NewSectionReader(l.f, p.offset, p.size)); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), out.Sync()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
