package nodetls

import (
	"io/fs"
	"os"
	"time"
)

// stamps tell whether files have changed since they were read. A nil entry is a
// file that is not there.
type stamps [3]fs.FileInfo

func (f Files) stamps() (s stamps) {
	for i, name := range []string{f.CA, f.Cert, f.Key} {
		// Symbolic links are followed: a Kubernetes volume is changed by turning
		// one over.
		s[i], _ = os.Stat(name)
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

// trouble is a state of the files that cannot be used.
type trouble struct {
	stamps stamps
	since  time.Time
	said   bool
}

// grace is how long files may not fit together before that is said: those who
// replace them do it one by one.
const grace = time.Second

// current is what the files hold; where that is broken, what they held before.
func (s *Source) current() *material {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamps := s.files.stamps()
	if stamps.equal(s.now.stamps) {
		s.broken = trouble{}
		return s.now
	}
	now := time.Now()
	m, err := s.files.load(now)
	if err == nil {
		s.now, s.broken = m, trouble{}
		s.log.Info("certificates read again: new connections use them",
			"file", s.files.Cert, "serial", m.leaf.SerialNumber.Text(16), "expires", m.notAfter.Format(time.RFC3339))
		return m
	}
	if s.broken.since.IsZero() || !s.broken.stamps.equal(stamps) {
		s.broken = trouble{stamps: stamps, since: now}
	}
	if !s.broken.said && now.Sub(s.broken.since) >= grace {
		s.broken.said = true
		s.log.Error("new certificates cannot be used; the ones before stay in use", "err", err, "expires", s.now.notAfter.Format(time.RFC3339))
	}
	return s.now
}
