//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package batchfile

import (
	"errors"
	"os"
	"syscall"
)

// Lock takes a file for this process until it is closed, or the process ends in
// whatever way. ErrLocked: another one has it.
func Lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return &os.PathError{Op: "lock", Path: f.Name(), Err: ErrLocked}
	}
	return err
}
