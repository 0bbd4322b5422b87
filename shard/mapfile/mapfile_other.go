//go:build !unix

// Package mapfile maps files into memory, read-only.
package mapfile

import (
	"errors"
	"os"
)

// Map always fails: files cannot be mapped here, so callers read them.
func Map(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

// Unmap gives a mapping back.
func Unmap([]byte) error { return nil }

// WillNeed starts reading pages.
func WillNeed([]byte, int64, int64) {}

// Drop gives pages back to the system.
func Drop([]byte, int64, int64) {}
