//go:build !unix

package lineedit

import "os"

// notifyResize never tells; the next key draws in the new size.
func notifyResize() (resized <-chan os.Signal, stop func()) { return nil, func() {} }
