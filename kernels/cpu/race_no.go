//go:build !race

package cpu

func raceRead[T any]([]T)  {}
func raceWrite[T any]([]T) {}

// raceEnabled tells that the race detector is on.
const raceEnabled = false
