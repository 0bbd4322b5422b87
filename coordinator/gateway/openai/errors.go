package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

const (
	typeInvalid     = "invalid_request_error"
	typeRateLimit   = "rate_limit_error"
	typeUnavailable = "service_unavailable_error"
	typeServer      = "server_error"
	typeAuth        = "authentication_error"
	typePermission  = "permission_error"

	// statusClientGone is never sent: the client has hung up. For logs and metrics.
	statusClientGone = 499
)

// apiError is an error in OpenAI's shape.
type apiError struct {
	Status     int
	Message    string
	Type       string
	Param      string // the field; "" if none
	Code       string // for programs; "" if none
	RetryAfter time.Duration
}

func (e apiError) Error() string { return e.Message }

// MarshalJSON writes {"error": {...}}, with null for what is absent.
func (e apiError) MarshalJSON() ([]byte, error) {
	type detail struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	opt := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return marshal(struct {
		Error detail `json:"error"`
	}{detail{e.Message, e.Type, opt(e.Param), opt(e.Code)}})
}

func internalError(id string) apiError {
	return apiError{Status: http.StatusInternalServerError, Type: typeServer, Code: "internal_error",
		Message: "internal error; the server's log has more under request id " + id}
}

// toAPIError gives every error of the gateway its status. known is false for
// those that are a fault of ours, and belong in the log.
func toAPIError(err error, id string) (e apiError, known bool) {
	var (
		api      apiError
		field    *gateway.FieldError
		notFound *gateway.ModelNotFoundError
	)
	invalid := func(param, code string) apiError {
		return apiError{Status: http.StatusBadRequest, Type: typeInvalid, Message: err.Error(), Param: param, Code: code}
	}
	switch {
	case errors.As(err, &api):
		return api, true
	case errors.As(err, &field):
		code := "invalid_value"
		if errors.Is(err, gateway.ErrContextLength) {
			code = "context_length_exceeded"
		}
		return invalid(field.Field, code), true
	case errors.As(err, &notFound):
		e := invalid("model", "model_not_found")
		e.Status = http.StatusNotFound
		return e, true
	case errors.Is(err, gateway.ErrNoTokenizer):
		return invalid("", "no_tokenizer"), true
	case errors.Is(err, gateway.ErrNoTemplate):
		return invalid("", "no_chat_template"), true
	case errors.Is(err, gateway.ErrUnauthenticated):
		return apiError{Status: http.StatusUnauthorized, Type: typeAuth, Code: "invalid_api_key", Message: err.Error()}, true
	case errors.Is(err, gateway.ErrForbidden):
		return apiError{Status: http.StatusForbidden, Type: typePermission, Code: "forbidden", Message: err.Error()}, true
	case errors.Is(err, gateway.ErrPolicy):
		return apiError{Status: http.StatusForbidden, Type: typePermission, Code: "content_policy_violation", Message: err.Error()}, true
	case errors.Is(err, gateway.ErrQuota):
		return apiError{Status: http.StatusTooManyRequests, Type: typeRateLimit, Code: "rate_limit_exceeded",
			Message: err.Error(), RetryAfter: gateway.RetryAfter(err)}, true
	case errors.Is(err, gateway.ErrOverloaded):
		return apiError{Status: http.StatusTooManyRequests, Type: typeRateLimit, Code: "queue_full",
			Message: err.Error(), RetryAfter: gateway.RetryAfter(err)}, true
	case errors.Is(err, gateway.ErrUnavailable):
		return apiError{Status: http.StatusServiceUnavailable, Type: typeUnavailable, Code: "not_serving",
			Message: err.Error(), RetryAfter: gateway.RetryAfter(err)}, true
	case errors.Is(err, gateway.ErrTooLate):
		return apiError{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "deadline_exceeded", Message: err.Error()}, true
	case errors.Is(err, context.DeadlineExceeded):
		return apiError{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "deadline_exceeded",
			Message: "the request's deadline passed"}, true
	case errors.Is(err, context.Canceled):
		return apiError{Status: statusClientGone, Type: typeInvalid, Code: "cancelled", Message: "the client hung up"}, true
	}
	return internalError(id), false
}

// fail answers a request that has had no answer yet.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	writeError(w, h.apiError(r, err))
}

func (h *handler) apiError(r *http.Request, err error) apiError {
	id := r.Header.Get(gateway.RequestIDHeader)
	e, known := toAPIError(err, id)
	if !known {
		h.svc.Logger().ErrorContext(r.Context(), "request failed", "req", id, "error", err)
	}
	return e
}

// Refuse answers requests that are not let in with an error of the gateway, as
// the handler's own routes do.
func Refuse(svc *gateway.Service) func(http.ResponseWriter, *http.Request, error) {
	h := &handler{svc: svc}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		identify(w, r)
		if errors.Is(err, gateway.ErrUnauthenticated) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sullae"`)
		}
		h.fail(w, r, err)
	}
}

// NotFound answers a request for something that there is not.
func NotFound(w http.ResponseWriter, code, message string) {
	writeError(w, apiError{Status: http.StatusNotFound, Type: typeInvalid, Code: code, Message: message})
}

func writeError(w http.ResponseWriter, e apiError) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
	writeJSON(w, e.Status, e)
}

// writeJSON writes v whole, with its length.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := marshal(v)
	if err != nil {
		// Our own structs: only a bug gets here, and the recovery logs it.
		panic(err)
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the client hung up; there is nobody to tell
}

// marshal is json.Marshal without escaping <, > and &, and without a line end.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
