package group

import (
	"testing"
	"time"
)

// TestSpeed: the estimate goes by the best that was seen, and forgets it slowly
// when it comes no more.
func TestSpeed(t *testing.T) {
	var s speed
	if s.atLeast(1e6, 1e6) != 0 {
		t.Error("refuses before anything is known")
	}
	s.note(512, 5) // the first step after a failure
	if s.atLeast(1e6, 1e6) != 0 {
		t.Error("refuses by one step")
	}
	for range enough {
		s.note(64, 0.128)
	}
	s.note(512, 0.5)  // a prompt's chunk: 1,024 rows a second
	s.note(1, 0.01)   // a stream
	s.note(64, 0.128) // slower
	if got := s.atLeast(2048, 100); got < 2900*time.Millisecond || got > 3100*time.Millisecond {
		t.Errorf("2,048 tokens and 100 steps take at least %v, want 2 s and 1 s", got)
	}
	narrow := s
	for range 6000 {
		s.note(512, 5.12)
		narrow.note(8, 0.32)
	}
	if got := narrow.atLeast(2048, 0); got > 2100*time.Millisecond {
		t.Errorf("after 6,000 steps of few rows 2,048 tokens take at least %v, want 2 s", got)
	}
	if got := s.atLeast(100, 0); got < 900*time.Millisecond {
		t.Errorf("after 6,000 steps of 100 rows a second, 100 tokens take at least %v", got)
	}
	if got := s.atLeast(0, 10); got < 700*time.Millisecond {
		t.Errorf("after 6,000 steps of 5 s, 10 of them take at least %v", got)
	}
}
