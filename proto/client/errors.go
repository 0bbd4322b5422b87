package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a call's failure, with the details that the cluster sent.
//
// errors.Is(err, context.DeadlineExceeded) and context.Canceled hold for calls
// that ended so; status.Code and status.FromError work, too.
type Error struct {
	Code    codes.Code
	Message string
	// Reason is for programs: MODEL_NOT_FOUND, QUEUE_FULL, NOT_SERVING,
	// CONTEXT_LENGTH_EXCEEDED, INVALID_FIELD, NO_TOKENIZER...; "" if the error
	// isn't the cluster's own.
	Reason     string
	RequestID  string
	Violations []Violation // of an INVALID_ARGUMENT
	// RetryAfter is when to try again; 0 where the cluster didn't say.
	RetryAfter time.Duration

	status *status.Status
}

// Violation is what is wrong with a field.
type Violation struct{ Field, Problem string }

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sullae: %s: %s", e.Code, e.Message)
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (try again in %v)", e.RetryAfter)
	}
	return b.String()
}

// GRPCStatus is for package status.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Is lets errors.Is see the context's errors.
func (e *Error) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Code == codes.DeadlineExceeded ||
		target == context.Canceled && e.Code == codes.Canceled
}

func wrap(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s := status.Convert(err)
	e := &Error{Code: s.Code(), Message: s.Message(), status: s}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			e.Reason = d.GetReason()
		case *errdetails.RequestInfo:
			e.RequestID = d.GetRequestId()
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{v.GetField(), v.GetDescription()})
			}
		}
	}
	return e
}
