package batchfile

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func line(id, url, body string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":%q,"body":%s}`, id, url, body)
}

func good(id string) string { return line(id, "/v1/completions", `{"prompt":"x"}`) }

func TestCheckTellsEveryProblem(t *testing.T) {
	in := strings.Join([]string{
		"\xef\xbb\xbf" + good("a"),
		`{"custom_id":"b"`,
		"",
		good("a"),
		line("c", "/v1/embeddings", `{}`),
		`{"custom_id":"d","method":"GET","url":"/v1/completions","body":{}}`,
		`{"custom_id":"e","method":"POST","url":"/v1/completions"}`,
		line("f", "/v1/completions", `{"stream":true}`),
		line("g", "/v1/completions", `[1]`),
		good("\xff"),
		good(""),
		`{"custom_id":"\ud800","method":"POST","url":"/v1/completions","body":{}}`,
		line("h", "/v1/completions", `{"prompt":"`+strings.Repeat("x", 300)+`"}`),
		good("z") + "\r",
		`{"custom_id":5,"method":"POST","url":"/v1/completions","body":{}}`,
	}, "\n")
	_, err := Check(strings.NewReader(in), Rules{MaxLineBytes: 200})
	bad, ok := errors.AsType[*InvalidError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []string{
		"2 invalid_json_line not a request in JSON",
		`4 duplicate_custom_id custom_id "a" is that of line 1`,
		"5 invalid_url url must be /v1/chat/completions or /v1/completions",
		"6 invalid_method method must be POST",
		"7 missing_required_parameter body is missing",
		"8 invalid_request an answer in a batch can't be streamed",
		"9 invalid_request body must be a JSON object",
		"10 invalid_json_line not", // %q writes the byte as \xff, which JSON doesn't have
		"11 invalid_custom_id custom_id must have 1 to 512 bytes",
		"12 invalid_custom_id",
		"13 line_too_long longer than 200 bytes",
		"15 invalid_request custom_id must be a string, is a number",
	}
	if len(bad.Problems) != len(want) {
		t.Errorf("%d problems, want %d", len(bad.Problems), len(want))
	}
	for i, p := range bad.Problems {
		if got := fmt.Sprintf("%d %s %s", p.Line, p.Code, p.Message); i < len(want) && !strings.HasPrefix(got, want[i]) {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	for in, want := range map[string]string{"": "has no requests", "\n \n": "has no requests", good("a") + "\n" + good("b") + "\n" + good("c"): "more than 2"} {
		if _, err := Check(strings.NewReader(in), Rules{MaxRequests: 2}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestReaderGivesBodiesAsTheyAre(t *testing.T) {
	body := `{"prompt":"<a&b> 가 \u2028", "n" : 1e0}`
	r := NewReader(strings.NewReader("\n"+line("가", "/v1/completions", body)), Rules{})
	req, err := r.Next()
	if err != nil || req.CustomID != "가" || string(req.Body) != body || req.Line != 2 {
		t.Errorf("got %+v, %v", req, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

func TestPriorityIsAddedWhereThereIsNone(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: `{"priority":7}`, `{ "prompt":"}" }`: `{"priority":7,"prompt":"}" }`, `{"priority":-1}`: `{"priority":-1}`,
	} {
		req, err := NewReader(strings.NewReader(line("a", "/v1/completions", body)), Rules{}).Next()
		if err != nil || string(req.At(7)) != want || string(req.At(0)) != body {
			t.Errorf("%s: %s, %v", body, req.At(7), err)
		}
	}
}

func answers(n int) (all []Answer) {
	for i := range n {
		all = append(all, Responded(fmt.Sprint("id-", i), 200, "r", []byte(`{"text":"<&>","usage":{"prompt_tokens":2,"completion_tokens":3}}`)))
	}
	return all
}

func recovered(t *testing.T, path string) (ids []string, l *Log) {
	t.Helper()
	l, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Recover(func(a *Answer) error { ids = append(ids, a.CustomID); return nil }); err != nil {
		t.Fatal(err)
	}
	return ids, l
}

// A log that is cut anywhere keeps its whole lines, and grows on from there.
func TestLogSurvivesEveryCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	_, l := recovered(t, path)
	if err := l.Append(answers(3)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	whole, err := os.ReadFile(path)
	if err != nil || strings.Count(string(whole), "\n") != 3 || !strings.Contains(string(whole), `"text":"<&>"`) {
		t.Fatalf("%q, %v", whole, err)
	}
	for n := 0; n < len(whole); n += 1 + n%13 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := strings.Count(string(whole[:n]), "\n")
		ids, l := recovered(t, path)
		if len(ids) != want {
			t.Fatalf("cut at %d: %q, want %d", n, ids, want)
		}
		if err := l.Append([]Answer{Failed("last", "c", "m")}); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if ids, l = recovered(t, path); len(ids) != want+1 || ids[want] != "last" {
			t.Fatalf("cut at %d, then: %q", n, ids)
		}
		l.Close()
	}
	// Blocks that a power cut left unwritten.
	if err := os.WriteFile(path, append(whole, "\x00\x00\x00\x00\"}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, l := recovered(t, path)
	defer l.Close()
	if len(ids) != 3 || l.Size() != int64(len(whole)) {
		t.Errorf("got %q, %d bytes", ids, l.Size())
	}
}

func TestLogSparesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for i, text := range []string{"notes", "notes\n", "{\"id\":1}\n", `{"custom_id":"a"}` + "\n"} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Recover(func(*Answer) error { return nil }); err == nil || !strings.Contains(err.Error(), "line 1 is no answer") {
			t.Errorf("%q: %v", text, err)
		}
		l.Close()
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%q became %q", text, b)
		}
	}
}

func TestLogIsForOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	_, l := recovered(t, path)
	if _, err := OpenLog(path); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	l.Close()
	_, l = recovered(t, path)
	l.Close()
}

func TestSort(t *testing.T) {
	const n = 200
	var in strings.Builder
	for i := range n {
		fmt.Fprintln(&in, good(fmt.Sprint("id-", i)))
	}
	x, err := Check(strings.NewReader(in.String()), Rules{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	_, l := recovered(t, path)
	all := answers(n)
	rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	if err := errors.Join(l.Append(all), l.Sort(x), l.Close()); err != nil {
		t.Fatal(err)
	}
	ids, l := recovered(t, path)
	defer l.Close()
	for i, id := range ids {
		if id != fmt.Sprint("id-", i) {
			t.Fatalf("line %d is %s", i+1, id)
		}
		if err := x.Mark(id); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != n || x.Left() != 0 || x.Mark("id-3") == nil || x.Mark("other") == nil {
		t.Errorf("%d ids, %d left", len(ids), x.Left())
	}
	if other, _ := filepath.Glob(path + ".*"); len(other) > 0 {
		t.Errorf("left over: %q", other)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(good("a") + "\n" + good("b")))
	f.Add([]byte("{\n\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(strings.NewReader(string(b)), Rules{MaxLineBytes: 100})
		for last := 0; ; {
			req, err := r.Next()
			if err == io.EOF {
				return
			}
			if p, ok := errors.AsType[*Problem](err); ok {
				req.Line = p.Line
			} else if err != nil {
				t.Fatal(err)
			}
			if req.Line <= last {
				t.Fatalf("line %d after %d", req.Line, last)
			}
			last = req.Line
		}
	})
}
