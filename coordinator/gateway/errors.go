package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that the edges give a status of their own. An Engine wraps the first
// two; everything that is none of these (nor a context's error) is a fault of
// ours: it is logged, and the client is told no more than the request's id.
var (
	// ErrUnavailable: no group of workers can run a step now.
	ErrUnavailable = errors.New("not serving now")
	// ErrOverloaded: the queue is full.
	ErrOverloaded = errors.New("too many requests are waiting")
	// ErrTooLate: the request's deadline can't be kept; it is a
	// context.DeadlineExceeded, before anything is computed.
	ErrTooLate error = tooLate{}
	// ErrNoTokenizer: a text call to a model that has no tokenizer.json.
	ErrNoTokenizer = errors.New("has no tokenizer: send token ids instead of text")
	// ErrNoTemplate: a chat call to a model that has no chat template.
	ErrNoTemplate = errors.New("has no chat template: send a rendered prompt instead of messages")
	// ErrContextLength marks the FieldErrors of requests that are too long for
	// the model's context.
	ErrContextLength = errors.New("context length exceeded")
	// ErrModelNotFound marks ModelNotFoundErrors.
	ErrModelNotFound = errors.New("model not found")
)

type tooLate struct{}

func (tooLate) Error() string { return "the deadline is too soon" }
func (tooLate) Unwrap() error { return context.DeadlineExceeded }

// FieldError says which field of a request is wrong, and how. Fields have the
// names of the HTTP API ("max_tokens"); the gRPC edge turns them into its paths.
type FieldError struct {
	Field   string
	Problem string
	Err     error // the sentinel that it is a case of, if any
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Unwrap is the sentinel, or nil.
func (e *FieldError) Unwrap() error { return e.Err }

func fieldErr(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// ModelNotFoundError is a request for a model that isn't served here.
type ModelNotFoundError struct {
	Name   string
	Served []string
}

func (e *ModelNotFoundError) Error() string {
	return fmt.Sprintf("the model %q is not served here; served: %s", e.Name, strings.Join(e.Served, ", "))
}

// Unwrap is ErrModelNotFound.
func (e *ModelNotFoundError) Unwrap() error { return ErrModelNotFound }

// RetryError adds to ErrUnavailable or ErrOverloaded when to try again.
type RetryError struct {
	Err   error
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap is the error that it delays.
func (e *RetryError) Unwrap() error { return e.Err }

// RetryAfter is the delay after which a refused request may be sent again: the
// one that err carries, or a second.
func RetryAfter(err error) time.Duration {
	var r *RetryError
	if errors.As(err, &r) && r.After > 0 {
		return r.After
	}
	return time.Second
}
