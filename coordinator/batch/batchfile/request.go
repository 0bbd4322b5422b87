package batchfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Endpoints are what a line may ask for.
var Endpoints = []string{"/v1/chat/completions", "/v1/completions"}

// MaxCustomIDBytes bounds a custom_id.
const MaxCustomIDBytes = 512

// Request is one line of a batch's input.
type Request struct {
	Line     int // its number in the file, from 1
	CustomID string
	URL      string
	Body     json.RawMessage // a JSON object

	hasPriority bool
}

// At is the body with a priority, where it has none of its own. That changes
// when a request is answered, but never the answer.
func (r Request) At(priority int) json.RawMessage {
	if r.hasPriority || priority == 0 {
		return r.Body
	}
	b := fmt.Appendf(nil, `{"priority":%d`, priority)
	rest := bytes.TrimSpace(r.Body[1:])
	if rest[0] != '}' {
		b = append(b, ',')
	}
	return append(b, rest...)
}

// Rules are what a file of requests must keep to.
type Rules struct {
	URLs         []string // allowed; nil: Endpoints
	MaxLineBytes int      // 0: 8 MiB
	MaxRequests  int      // 0: any number
}

func (r Rules) withDefaults() Rules {
	if r.URLs == nil {
		r.URLs = Endpoints
	}
	if r.MaxLineBytes <= 0 {
		r.MaxLineBytes = 8 << 20
	}
	return r
}

// Problem is why a line, or with Line 0 the whole file, cannot be used.
type Problem struct {
	Line    int
	Code    string // OpenAI's, for programs
	Param   string // the field, if one is to blame
	Message string
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// Reader reads requests one by one. Empty lines are skipped.
type Reader struct {
	lines *lines
	rules Rules
}

// NewReader reads from r by the rules; MaxRequests is Check's to enforce.
func NewReader(r io.Reader, rules Rules) *Reader {
	rules = rules.withDefaults()
	return &Reader{newLines(r, rules.MaxLineBytes), rules}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Next is the next request; io.EOF after the last. A *Problem concerns its line
// alone, and reading can go on.
func (r *Reader) Next() (Request, error) {
	for {
		line, err := r.lines.Next()
		if err != nil {
			return Request{}, err
		}
		if line.TooLong {
			return Request{}, &Problem{line.Number, "line_too_long", "", fmt.Sprintf("longer than %d bytes", r.rules.MaxLineBytes)}
		}
		text := line.Text
		if line.Number == 1 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			return r.rules.parse(text, line.Number)
		}
	}
}

func (r Rules) parse(text []byte, number int) (Request, error) {
	bad := func(code, param, format string, args ...any) (Request, error) {
		return Request{}, &Problem{number, code, param, fmt.Sprintf(format, args...)}
	}
	if !utf8.Valid(text) {
		return bad("invalid_json_line", "", "not UTF-8")
	}
	var line struct {
		CustomID *string         `json:"custom_id"`
		Method   *string         `json:"method"`
		URL      *string         `json:"url"`
		Body     json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return bad("invalid_request", wrong.Field, "%s must be a string, is a %s", wrong.Field, wrong.Value)
		}
		return bad("invalid_json_line", "", "not a request in JSON: %v", err)
	}
	for _, f := range []struct {
		name string
		miss bool
	}{{"custom_id", line.CustomID == nil}, {"method", line.Method == nil}, {"url", line.URL == nil}, {"body", line.Body == nil}} {
		if f.miss {
			return bad("missing_required_parameter", f.name, "%s is missing", f.name)
		}
	}
	switch id := *line.CustomID; {
	case id == "" || len(id) > MaxCustomIDBytes:
		return bad("invalid_custom_id", "custom_id", "custom_id must have 1 to %d bytes, has %d", MaxCustomIDBytes, len(id))
	case strings.ContainsRune(id, utf8.RuneError):
		// Escapes of half a character all decode to this: two ids could look alike.
		return bad("invalid_custom_id", "custom_id", "custom_id %q has a broken character", id)
	}
	if *line.Method != "POST" {
		return bad("invalid_method", "method", "method must be POST, is %q", *line.Method)
	}
	if !slices.Contains(r.URLs, *line.URL) {
		return bad("invalid_url", "url", "url must be %s, is %q", strings.Join(r.URLs, " or "), *line.URL)
	}
	var body struct {
		Stream   json.RawMessage `json:"stream"`
		Priority json.RawMessage `json:"priority"`
	}
	if line.Body[0] != '{' || json.Unmarshal(line.Body, &body) != nil {
		return bad("invalid_request", "body", "body must be a JSON object")
	}
	if string(body.Stream) == "true" {
		return bad("invalid_request", "body.stream", "an answer in a batch can't be streamed: leave stream out")
	}
	return Request{number, *line.CustomID, *line.URL, line.Body, body.Priority != nil}, nil
}
