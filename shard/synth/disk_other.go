//go:build !linux && !darwin

package synth

// freeBytes is not known here; a full disk is noticed when it is full.
func freeBytes(string) (int64, bool) { return 0, false }
