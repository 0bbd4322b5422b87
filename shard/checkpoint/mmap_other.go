//go:build !unix

package checkpoint

import (
	"errors"
	"os"
)

// Where files cannot be mapped they are read with ReadAt.

func mmap(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func munmap([]byte) error { return nil }

func willNeed([]byte, int64, int64) {}

func drop([]byte, int64, int64) {}
