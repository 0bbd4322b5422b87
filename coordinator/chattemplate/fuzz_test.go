package chattemplate

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzTemplate parses and renders anything: it may fail, but only with an *Error,
// in bounded time, and what it prints is text.
func FuzzTemplate(f *testing.F) {
	c, ctx := loadCorpus(f)
	for i, tc := range c.Cases {
		if i%7 == 0 {
			f.Add(tc.Template)
		}
	}
	f.Add(exaoneTemplate(f))
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 1<<14 {
			return
		}
		start := time.Now()
		tpl, err := Parse("fuzz", source)
		out := ""
		if err == nil {
			tpl.Limits = Limits{Steps: 50_000, MemoryBytes: 1 << 20, OutputBytes: 1 << 16, Depth: 50}
			out, err = tpl.Render(ctx)
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("error of type %T: %v", err, err)
		}
		if utf8.ValidString(source) && !utf8.ValidString(out) {
			t.Errorf("output is not UTF-8: %q", out)
		}
		if len(out) > 1<<16 {
			t.Errorf("output of %d bytes", len(out))
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}
