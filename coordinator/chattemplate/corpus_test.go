package chattemplate

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"
)

// corpus is what Python's jinja2, set up as Hugging Face does, makes of templates
// in one context: a text, or an error.
type corpus struct {
	Context json.RawMessage
	Cases   []struct {
		Template string
		Out      *string
		Error    string
	}
}

func loadCorpus(t testing.TB) (corpus, Context) {
	t.Helper()
	var c corpus
	loadJSON(t, "jinja.json", &c)
	v, err := ParseJSON(c.Context)
	if err != nil {
		t.Fatal(err)
	}
	ctx := Context{
		Extra: map[string]any{},
		Now:   func() time.Time { return time.Date(2026, 3, 7, 9, 5, 3, 42000, time.UTC) },
	}
	m := v.(*Map)
	for _, key := range m.Keys() {
		ctx.Extra[key], _ = m.Get(key)
	}
	return c, ctx
}

func loadJSON(t testing.TB, name string, v any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

func renderString(source string, ctx Context) (string, error) {
	tpl, err := Parse("test", source)
	if err != nil {
		return "", err
	}
	return tpl.Render(ctx)
}

func TestAgainstJinja(t *testing.T) {
	c, ctx := loadCorpus(t)
	for _, tc := range c.Cases {
		got, err := renderString(tc.Template, ctx)
		var templateErr *Error
		switch {
		case err != nil && !errors.As(err, &templateErr):
			t.Errorf("%q: error of type %T", tc.Template, err)
		case tc.Out == nil && err == nil:
			t.Errorf("%q\n have %q\n want error %s", tc.Template, got, tc.Error)
		case tc.Out != nil && err != nil:
			t.Errorf("%q\n have error %v\n want %q", tc.Template, err, *tc.Out)
		case tc.Out != nil && got != *tc.Out:
			t.Errorf("%q\n have %q\n want %q", tc.Template, got, *tc.Out)
		}
	}
}
