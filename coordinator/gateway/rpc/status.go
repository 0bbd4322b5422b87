package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sullae/sullae/coordinator/gateway"
)

// Domain is the domain of our ErrorInfo details.
const Domain = "sullae.dev"

// paths are our messages' names of the gateway's fields, where they differ. The
// prompt's are the method's to name.
var paths = map[string]string{
	"temperature":        "sampling.temperature",
	"top_p":              "sampling.top_p",
	"top_k":              "sampling.top_k",
	"seed":               "sampling.seed",
	"min_p":              "sampling.min_p",
	"repetition_penalty": "sampling.repetition_penalty",
	"presence_penalty":   "sampling.presence_penalty",
	"frequency_penalty":  "sampling.frequency_penalty",
	"logit_bias":         "sampling.logit_bias",
	"bad_words":          "sampling.bad_words",
	"max_tokens":         "stopping.max_tokens",
	"min_tokens":         "stopping.min_tokens",
	"stop":               "stopping.stop",
	"stop_token_ids":     "stopping.stop_token_ids",
	"logprobs":           "output.logprobs",
	"prompt_logprobs":    "output.prompt_logprobs",
	"tokens":             "token_ids",
}

// toStatus gives every error of the gateway its code and details. known is false
// for those that are a fault of ours, and belong in the log.
func toStatus(err error, id string) (s *status.Status, known bool) {
	info := func(reason string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: reason, Domain: Domain}
	}
	build := func(code codes.Code, message string, details ...protoadapt.MessageV1) *status.Status {
		s := status.New(code, message)
		if id != "" {
			details = append(details, &errdetails.RequestInfo{RequestId: id})
		}
		if d, err := s.WithDetails(details...); err == nil {
			s = d
		}
		return s
	}
	retry := func() *errdetails.RetryInfo {
		return &errdetails.RetryInfo{RetryDelay: durationpb.New(gateway.RetryAfter(err))}
	}
	var (
		field    *gateway.FieldError
		notFound *gateway.ModelNotFoundError
		quota    *gateway.QuotaError
	)
	switch {
	case errors.As(err, &field):
		reason := "INVALID_FIELD"
		if errors.Is(err, gateway.ErrContextLength) {
			reason = "CONTEXT_LENGTH_EXCEEDED"
		}
		path := field.Field
		if p, ok := paths[path]; ok {
			path = p
		}
		return build(codes.InvalidArgument, path+": "+field.Problem, info(reason), &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: path, Description: field.Problem}},
		}), true
	case errors.As(err, &notFound):
		return build(codes.NotFound, err.Error(), info("MODEL_NOT_FOUND"),
			&errdetails.ResourceInfo{ResourceType: "model", ResourceName: notFound.Name}), true
	case errors.Is(err, gateway.ErrNoTokenizer):
		return build(codes.FailedPrecondition, err.Error(), info("NO_TOKENIZER")), true
	case errors.Is(err, gateway.ErrNoTemplate):
		return build(codes.FailedPrecondition, err.Error(), info("NO_CHAT_TEMPLATE")), true
	case errors.Is(err, gateway.ErrUnauthenticated):
		return build(codes.Unauthenticated, err.Error(), info("INVALID_API_KEY")), true
	case errors.Is(err, gateway.ErrForbidden):
		return build(codes.PermissionDenied, err.Error(), info("FORBIDDEN")), true
	case errors.Is(err, gateway.ErrPolicy):
		return build(codes.PermissionDenied, err.Error(), info("CONTENT_POLICY_VIOLATION")), true
	case errors.As(err, &quota):
		return build(codes.ResourceExhausted, err.Error(), info("RATE_LIMIT_EXCEEDED"), retry(), &errdetails.QuotaFailure{
			Violations: []*errdetails.QuotaFailure_Violation{{Subject: "api_key:" + quota.Caller, Description: fmt.Sprintf("%d %s", quota.Value, quota.Limit)}},
		}), true
	case errors.Is(err, gateway.ErrOverloaded):
		return build(codes.ResourceExhausted, err.Error(), info("QUEUE_FULL"), retry()), true
	case errors.Is(err, gateway.ErrUnavailable):
		return build(codes.Unavailable, err.Error(), info("NOT_SERVING"), retry()), true
	case errors.Is(err, gateway.ErrTooLate):
		return build(codes.DeadlineExceeded, err.Error()), true
	case errors.Is(err, context.DeadlineExceeded):
		return build(codes.DeadlineExceeded, "the request's deadline passed"), true
	case errors.Is(err, context.Canceled):
		return build(codes.Canceled, "the request was cancelled"), true
	}
	if s, ok := status.FromError(err); ok {
		return s, true // gRPC's own: a stream that broke, an unknown method
	}
	return build(codes.Internal, "internal error; the server's log has more under request id "+id, info("INTERNAL")), false
}
