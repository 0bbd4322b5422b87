package loadtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxEventBytes bounds one server-sent event.
const maxEventBytes = 4 << 20

// timing is when a stream's tokens came.
type timing struct {
	events []time.Time // of each event that brought tokens
	tokens int
	input  int // the prompt's, as the server counts them; 0: it doesn't tell
}

// chunk is what completions and chat completions have in common, as far as
// time is concerned.
type chunk struct {
	Choices []struct {
		Text  string `json:"text"`
		Delta struct {
			Content   string          `json:"content"`
			Reasoning string          `json:"reasoning_content"`
			ToolCalls json.RawMessage `json:"tool_calls"`
		} `json:"delta"`
		TokenIDs     []int32 `json:"token_ids"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// tokens is how many tokens an event brings. Where the server doesn't tell their
// ids, text counts as one.
func (c *chunk) tokens() (n int) {
	for _, ch := range c.Choices {
		switch {
		case len(ch.TokenIDs) > 0:
			n += len(ch.TokenIDs)
		case ch.Text != "" || ch.Delta.Content != "" || ch.Delta.Reasoning != "" || len(ch.Delta.ToolCalls) > 0:
			n++
		}
	}
	return n
}

var (
	errTruncated = errors.New("the stream ended before its end")
	errInStream  = errors.New("an error in the stream")
)

// readStream reads server-sent events until [DONE], and notes the time of each
// as soon as its line is there.
func readStream(r io.Reader, now func() time.Time) (timing, error) {
	var t timing
	in := readers.Get().(*bufio.Reader)
	in.Reset(r)
	defer readers.Put(in)
	for {
		data, at, err := nextData(in, now)
		if err == io.EOF {
			return t, errTruncated
		}
		if err != nil {
			return t, err
		}
		if string(data) == "[DONE]" {
			return t, nil
		}
		if n, ok := plainTokens(data); ok {
			t.events = append(t.events, at)
			t.tokens += n
			continue
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return t, fmt.Errorf("%w: %.100q is no JSON", errInStream, data)
		}
		if len(c.Error) > 0 && string(c.Error) != "null" {
			return t, fmt.Errorf("%w: %s", errInStream, c.Error)
		}
		if n := c.tokens(); n > 0 {
			t.events = append(t.events, at)
			t.tokens += n
		}
		if c.Usage != nil {
			t.input = c.Usage.PromptTokens
			t.tokens = max(t.tokens, c.Usage.CompletionTokens)
		}
	}
}

var (
	idsField   = []byte(`"token_ids":[`)
	usageField = []byte(`"usage":{`)
	errorField = []byte(`"error":`)
)

// plainTokens is how many tokens an event brings that is nothing but tokens, as
// their ids tell; false where it has to be read. (Within a string a quote has a
// backslash before it, so no text looks like these fields.) Reading every event
// would take a good part of the time that a fast server takes to make it.
func plainTokens(data []byte) (n int, ok bool) {
	if bytes.Contains(data, usageField) || bytes.Contains(data, errorField) || !json.Valid(data) {
		return 0, false
	}
	for rest := data; ; {
		i := bytes.Index(rest, idsField)
		if i < 0 {
			return n, n > 0
		}
		rest = rest[i+len(idsField):]
		end := bytes.IndexByte(rest, ']')
		if ids := rest[:end]; len(ids) > 0 {
			n += 1 + bytes.Count(ids, []byte(","))
		}
		rest = rest[end:]
	}
}

// readers are kept from one stream to the next.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// nextData is the next event's data, and when it came. These servers write an
// event's data in one line.
func nextData(in *bufio.Reader, now func() time.Time) ([]byte, time.Time, error) {
	for {
		var line []byte
		for {
			part, err := in.ReadSlice('\n')
			if err == nil && line == nil {
				line = part // it is looked at before the next one is read
				break
			}
			line = append(line, part...)
			if err == nil {
				break
			}
			if err != bufio.ErrBufferFull {
				return nil, time.Time{}, err
			}
			if len(line) > maxEventBytes {
				return nil, time.Time{}, fmt.Errorf("%w: longer than %d bytes", errInStream, maxEventBytes)
			}
		}
		at := now()
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			return bytes.TrimSpace(data), at, nil
		}
	}
}
