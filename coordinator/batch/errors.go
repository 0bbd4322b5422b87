package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is an error in OpenAI's shape.
type apiError struct {
	Status     int
	Param      string
	Code       string
	Message    string
	RetryAfter int // seconds; 0: none
}

func (e apiError) Error() string { return e.Message }

func invalid(param, format string, args ...any) apiError {
	return apiError{Status: http.StatusBadRequest, Param: param, Code: "invalid_value", Message: fmt.Sprintf(format, args...)}
}

func notFound(kind, id string) apiError {
	return apiError{Status: http.StatusNotFound, Code: kind + "_not_found", Message: fmt.Sprintf("there is no %s %q", kind, id)}
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[apiError](err)
	return ok && e.Status == http.StatusNotFound
}

func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, known := errors.AsType[apiError](err)
	if !known {
		if r.Context().Err() != nil {
			return // hung up; there is nobody to tell
		}
		s.cfg.Logger.Error("batch request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = apiError{Status: http.StatusInternalServerError, Code: "internal_error", Message: "internal error; the server's log has more"}
	}
	kind := "invalid_request_error"
	switch {
	case e.Status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case e.Status >= 500:
		kind = "server_error"
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	opt := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	writeJSON(w, e.Status, map[string]any{"error": map[string]any{"message": e.Message, "type": kind, "param": opt(e.Param), "code": opt(e.Code)}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs: a bug
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n')) //nolint:errcheck // the client hung up; there is nobody to tell
}
