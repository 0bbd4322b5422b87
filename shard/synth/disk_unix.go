//go:build linux || darwin

package synth

import "golang.org/x/sys/unix"

// freeBytes is the space that an ordinary user may still fill in the file
// system of dir.
func freeBytes(dir string) (int64, bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
