//go:build !amd64 || noasm

package cpu

import "runtime"

// spinHint passes a few nanoseconds.
func spinHint() { runtime.Gosched() }
