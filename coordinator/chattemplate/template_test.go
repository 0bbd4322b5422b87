package chattemplate

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	messages := []map[string]any{{"role": "user", "content": "hi"}}
	for _, c := range []struct{ source, want string }{
		{"a\n{{ x.y }}", "test:2: 'x' is undefined"},
		{"{% for m in messages %}\n{{ m.tool_calls[0] }}{% endfor %}", "test:2: 'dict object' has no attribute 'tool_calls'"},
		{"\n\n{% if a %}", "test:3: unexpected end of template"},
		{"{% for m in messages %}\n{% endif %}", `test:2: encountered unknown tag "endif"`},
		{"{{ messages|sort_by }}", `test:1: no filter named "sort_by"`},
		{"\n{{ 1 is prime }}", `test:2: no test named "prime"`},
		{"{% import 'x' as y %}", `test:1: tag "import" is not supported`},
		{"{% for x in y recursive %}{% endfor %}", "test:1: recursive loops are not supported"},
		{"{{ 'a' + 1 }}", `can only concatenate str (not "int") to str`},
		{"{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'"},
		{"{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe"},
		{"{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"},
		{"{{ messages[0].update({}) }}", "access to attribute 'update' of 'dict' object is unsafe"},
		{"{{ f() }}", "'f' is undefined"},
		{"{{ messages() }}", "'list' object is not callable"},
		{"{{ {[]: 1} }}", "unhashable type: 'list'"},
		{"{{ 1 // 0 }}", "integer division or modulo by zero"},
		{"{{ 9223372036854775807 + 1 }}", "integer is too large"},
		{"{{ 2 ** 64 }}", "integer is too large"},
		{"{% set loop.x = 1 %}", "cannot assign attribute on non-namespace object"},
		{"{{ strftime_now('%Q') }}", `directive "%Q" is not supported`},
		{"{{ 'a\x00' \x01 }}", `unexpected char "\x01"`},
	} {
		_, err := renderString(c.source, Context{Messages: messages})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\n have %v\n want %s", c.source, err, c.want)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Template != "test" || e.Line == 0 || e.Raised {
			t.Errorf("%q: error %#v", c.source, err)
		}
	}
}

func TestRaiseException(t *testing.T) {
	_, err := renderString("\n{{ raise_exception('roles must alternate') }}", Context{})
	var e *Error
	if !errors.As(err, &e) || !e.Raised || e.Msg != "roles must alternate" || e.Line != 2 {
		t.Errorf("have %#v", err)
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat
	for name, c := range map[string]struct{ source, want string }{
		"steps":         {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps"},
		"output":        {"{% for a in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "output"},
		"doubling":      {"{% set ns = namespace(s='x') %}{% for a in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "memory"},
		"repeat":        {"{{ 'x' * 9000000000000000000 }}", "memory"},
		"list repeat":   {"{{ [1] * 9000000000000000000 }}", "memory"},
		"replace":       {"{{ ('x' * 1000000)|replace('x', 'y' * 1000000) }}", "memory"},
		"join":          {"{{ ('x' * 1000000)|join('y' * 1000000) }}", "memory"},
		"pad":           {"{{ 'x'.center(9000000000000000000) }}", "memory"},
		"indent":        {"{{ 'x\n'|indent(9000000000000000000, blank=true) }}", "memory"},
		"json indent":   {"{{ [1]|tojson(indent=9000000000000000000) }}", "memory"},
		"format":        {"{{ '%99999999d' % 1 }}", "too large"},
		"range":         {"{{ range(100001) }}", "range too big"},
		"huge range":    {"{{ range(-9223372036854775807, 9223372036854775807) }}", "too large"},
		"recursion":     {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep"},
		"nested list":   {"{% set ns = namespace(x=[]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "deep"},
		"nested equal":  {"{% set ns = namespace(x=[],y=[]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "deep"},
		"nested less":   {"{% set ns = namespace(x=[1],y=[2]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x < ns.y }}", "deep"},
		"nested json":   {"{% set ns = namespace(x=[]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}", "deep"},
		"shared tuples": {"{% set ns = namespace(x=(1,)) %}{% for a in range(80) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}", "too large"},
		"shared lists":  {"{% set ns = namespace(x=[1]) %}{% for a in range(80) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "memory"},
		"shared equal":  {"{% set ns = namespace(x=[1],y=[1]) %}{% for a in range(80) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "steps"},
		"parens":        {"{{ " + deep("(", 100000) + "1" + deep(")", 100000) + " }}", "nested"},
		"minuses":       {"{{ " + deep("-", 100000) + "1 }}", "nested"},
		"nots":          {"{{ " + deep("not ", 100000) + "1 }}", "nested"},
		"sum":           {"{{ 1" + deep("+1", 100000) + " }}", "parts"},
		"attributes":    {"{{ a" + deep(".b", 100000) + " }}", "parts"},
		"filters":       {"{{ a" + deep("|list", 100000) + " }}", "parts"},
		"blocks":        {deep("{% if a %}", 100000), "nested"},
		"digits":        {"{{ " + deep("9", 100000) + " }}", "too long"},
		"source":        {deep("x", 2<<20), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			tpl, err := Parse("test", c.source)
			if err == nil {
				tpl.Limits.OutputBytes = 1 << 20
				tpl.Limits.MemoryBytes = 16 << 20
				tpl.Limits.Steps = 1 << 20
				_, err = tpl.Render(Context{})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %.200v, want %s", err, c.want)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestInputsAreNotChanged renders a template that tries to.
func TestInputsAreNotChanged(t *testing.T) {
	inner := &Map{}
	inner.Set("z", 1)
	inner.Set("a", []any{"x"})
	messages := []any{map[string]any{"role": "user", "inner": inner}}
	before, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := Parse("test", `{% set messages = messages[:] + [1] %}{% set ns = namespace(m=messages[0]) %}`+
		`{% set ns.m = 5 %}{% for m in messages %}{% set m = 1 %}{% endfor %}{{ messages[0].inner|tojson }}`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := tpl.Render(Context{Messages: messages})
		if err != nil || got != `{"z": 1, "a": ["x"]}` {
			t.Errorf("%q %v", got, err)
		}
	}
	if after, _ := json.Marshal(messages); string(after) != string(before) {
		t.Errorf("messages are now %s", after)
	}
}

func TestContext(t *testing.T) {
	const source = "{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ bos_token }}{{ eos_token }}{{ x }}" +
		"{{ bos_token is defined }}"
	for _, c := range []struct {
		ctx  Context
		want string
	}{
		{Context{}, "NoneNoneNoneFalseFalse"},
		{Context{Messages: []any{}, BOSToken: "<s>", EOSToken: "</s>", AddGenerationPrompt: true}, "[]NoneNoneTrue<s></s>True"},
		{Context{Extra: map[string]any{"x": json.Number("1.0"), "tools": []string{"a"}}}, "None['a']NoneFalse1.0False"},
		{Context{Extra: map[string]any{"x": struct {
			B int `json:"b"`
			A any `json:"a"`
		}{1, nil}}}, "NoneNoneNoneFalse{'b': 1, 'a': None}False"},
	} {
		got, err := renderString(source, c.ctx)
		if err != nil || got != c.want {
			t.Errorf("%+v\n have %q %v\n want %q", c.ctx, got, err, c.want)
		}
	}
	for _, bad := range []any{"\xff", make(chan int), []any{map[string]any{"k": "\xff"}}, json.Number("x")} {
		if _, err := renderString("", Context{Extra: map[string]any{"bad": bad}}); err == nil || !strings.Contains(err.Error(), "bad") {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

func TestConcurrentRenders(t *testing.T) {
	c, ctx := loadCorpus(t)
	var wg sync.WaitGroup
	for _, tc := range c.Cases[len(c.Cases)-20:] {
		tpl, err := Parse("test", tc.Template)
		if err != nil || tc.Out == nil {
			continue
		}
		for range 4 {
			wg.Go(func() {
				if got, err := tpl.Render(ctx); err != nil || got != *tc.Out {
					t.Errorf("%q: %q %v", tc.Template, got, err)
				}
			})
		}
	}
	wg.Wait()
}

func TestMapKeepsOrder(t *testing.T) {
	const text = `{"z":1,"a":{"y":2.50,"x":[{"q":null,"b":"\u003c"}]}}`
	var m Map
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if raw, err := json.Marshal(&m); err != nil || string(raw) != text {
		t.Errorf("%s %v", raw, err)
	}
	for _, bad := range []string{"", "{", `{"a"}`, "[1,]", "1 2", "{} x", strings.Repeat("[", 100000)} {
		if v, err := ParseJSON([]byte(bad)); err == nil {
			t.Errorf("%.20q: %v", bad, v)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	tpl, err := Parse("exaone3", exaoneTemplate(b))
	if err != nil {
		b.Fatal(err)
	}
	var messages []*Map
	for i := range 20 {
		m := &Map{}
		m.Set("role", []string{"user", "assistant"}[i%2])
		m.Set("content", strings.Repeat("안녕하세요 hello ", 20))
		messages = append(messages, m)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(Context{Messages: messages, AddGenerationPrompt: true}); err != nil {
			b.Fatal(err)
		}
	}
}
