//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package batchfile

import "os"

// Lock does nothing here: that one process at a time writes a file is left to
// who starts them.
func Lock(*os.File) error { return nil }
