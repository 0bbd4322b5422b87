//go:build !linux

package collective

import "runtime"

// yield lets others have the processor.
func yield() { runtime.Gosched() }
