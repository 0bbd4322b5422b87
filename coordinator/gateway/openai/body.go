package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"unicode/utf8"
)

// readObject reads a body that must be one JSON object. A browser must say that
// it is application/json: a page can then not send it to a server on the
// reader's own machine without asking first. Other clients (curl -d says that
// it sends a form) are taken at the body's word.
func (h *handler) readObject(w http.ResponseWriter, r *http.Request) (*object, error) {
	fromPage := r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); fromPage && (err != nil || t != "application/json") {
		return nil, apiError{Status: http.StatusUnsupportedMediaType, Type: typeInvalid, Code: "unsupported_media_type",
			Message: "the body must be JSON, sent with the header Content-Type: application/json"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, apiError{Status: http.StatusUnsupportedMediaType, Type: typeInvalid, Code: "unsupported_content_encoding",
			Message: fmt.Sprintf("a body in the Content-Encoding %q is not taken: send it as it is", e)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, apiError{Status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Code: "body_too_large",
			Message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, apiError{Status: http.StatusRequestTimeout, Type: typeInvalid, Code: "body_timeout",
			Message: "the body did not come in time"}
	case err != nil:
		return nil, badBody("the body could not be read: %v", err)
	}
	return parseObject(body)
}

func badBody(format string, args ...any) apiError {
	return apiError{Status: http.StatusBadRequest, Type: typeInvalid, Code: "invalid_json", Message: fmt.Sprintf(format, args...)}
}

// parseObject splits a JSON object into its fields.
func parseObject(body []byte) (*object, error) {
	if at := invalidUTF8(body); at >= 0 {
		return nil, badBody("the body is not UTF-8: broken at byte %d", at)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		var syntax *json.SyntaxError
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong):
			return nil, badBody("the body must be a JSON object, not %s", article(wrong.Value))
		case errors.As(err, &syntax):
			return nil, badBody("the body is not JSON: %v (byte %d)", err, syntax.Offset)
		}
		return nil, badBody("the body is not JSON: %v", err)
	}
	if fields == nil {
		return nil, badBody("the body must be a JSON object, not null")
	}
	if at := loneSurrogate(body); at >= 0 {
		return nil, badBody("the body has half a surrogate pair at byte %d: it stands for no character", at)
	}
	return &object{fields: fields, seen: map[string]bool{}}, nil
}

func invalidUTF8(b []byte) int {
	for at := 0; at < len(b); {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

// loneSurrogate finds a \ud800 to \udfff escape without its other half, which
// the JSON package would silently make U+FFFD. The body is valid JSON.
func loneSurrogate(b []byte) int {
	half := func(at int) rune { // the escaped unit at b[at:], or -1
		if at+6 > len(b) || b[at] != '\\' || b[at+1] != 'u' {
			return -1
		}
		var u rune
		for _, c := range b[at+2 : at+6] {
			switch {
			case c >= '0' && c <= '9':
				u = u<<4 | rune(c-'0')
			default:
				u = u<<4 | rune(c|0x20-'a'+10)
			}
		}
		return u
	}
	for at := 0; at < len(b); at++ {
		if b[at] != '\\' {
			continue
		}
		switch u := half(at); {
		case u < 0xd800 || u > 0xdfff:
			at++ // over the escaped character; \u's digits are harmless
		case u >= 0xdc00:
			return at
		default:
			if low := half(at + 6); low < 0xdc00 || low > 0xdfff {
				return at
			}
			at += 11
		}
	}
	return -1
}

func article(kind string) string {
	switch kind {
	case "array", "object":
		return "an " + kind
	case "null":
		return kind
	}
	return "a " + kind
}
