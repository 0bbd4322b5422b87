package openai

import (
	"testing"
	"time"
)

func TestParseTimeout(t *testing.T) {
	for in, want := range map[string]time.Duration{"1.5": 1500 * time.Millisecond, "250ms": 250 * time.Millisecond, "3": 3 * time.Second} {
		if got, err := parseTimeout(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"0", "-1", "soon", "-2s"} {
		if _, err := parseTimeout(in); err == nil {
			t.Errorf("%s: accepted", in)
		}
	}
}
