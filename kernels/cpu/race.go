//go:build race

package cpu

import (
	"runtime"
	"unsafe"
)

// raceEnabled tells that the race detector is on.
const raceEnabled = true

// raceRead tells the race detector, which cannot see into assembly, that the
// elements of s are read. raceWrite does the same for writing.
func raceRead[T any](s []T) {
	if len(s) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&s[0]), len(s)*int(unsafe.Sizeof(s[0])))
	}
}

func raceWrite[T any](s []T) {
	if len(s) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&s[0]), len(s)*int(unsafe.Sizeof(s[0])))
	}
}
