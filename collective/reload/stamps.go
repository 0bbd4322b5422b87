package reload

import (
	"io/fs"
	"os"
)

// stamps tell whether files have changed since they were read. A nil entry is a
// file that is not there.
type stamps []fs.FileInfo

func stampsOf(files []string) stamps {
	s := make(stamps, len(files))
	for i, name := range files {
		s[i], _ = os.Stat(name) // through symbolic links
	}
	return s
}

func (s stamps) equal(t stamps) bool {
	for i, a := range s {
		b := t[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
