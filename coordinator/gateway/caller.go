package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors about who asks, which the edges give a status of their own.
var (
	// ErrUnauthenticated: no key, or one that isn't known.
	ErrUnauthenticated = errors.New("an API key is needed")
	// ErrForbidden: the key may not do this.
	ErrForbidden = errors.New("the API key may not do this")
	// ErrQuota marks QuotaErrors.
	ErrQuota = errors.New("over the API key's limit")
)

// QuotaError is a request beyond one of its caller's limits. It comes wrapped in
// a RetryError where waiting helps.
type QuotaError struct {
	Caller string
	Limit  string // "requests per minute", "tokens per minute", "concurrent requests"
	Value  int    // the limit
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("API key %s has %d %s, and they are used up", e.Caller, e.Value, e.Limit)
}

// Unwrap is ErrQuota.
func (e *QuotaError) Unwrap() error { return ErrQuota }

// Caller is who sends a request, as an edge has found out. Edges put it in the
// request's context; a context without one is a caller without limits.
type Caller struct {
	// Name is told in logs, and is the tenant of the caller's requests.
	Name string
	// Via and Remote say how and from where: "http" or "grpc", host:port.
	Via, Remote string
	Admin       bool // may see and change what is others'
	// MinPriority is the best (lowest) priority that the caller's requests have.
	MinPriority *int
	Quota       Quota // nil: no limits
}

// Quota counts what a caller uses.
type Quota interface {
	// Begin admits a request of so many prompt tokens at a time, or says why not:
	// a *QuotaError. The Usage must be ended.
	Begin(now time.Time, promptTokens int) (Usage, error)
}

// Usage is a request under way.
type Usage interface {
	Generated(tokens int)
	End()
}

type callerKey struct{}

// WithCaller says who sends the requests of a context.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is the context's caller, or one without name and limits.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// unlimited is the Usage of callers without a Quota.
type unlimited struct{}

func (unlimited) Generated(int) {}
func (unlimited) End()          {}

// admit charges a resolved request to its caller, and makes it the caller's.
func (c Caller) admit(now time.Time, p *plan) (Usage, error) {
	if c.MinPriority != nil {
		p.priority = max(p.priority, *c.MinPriority)
	}
	if c.Name != "" {
		p.tenant = c.Name // what clients say of their users must not win them a share each
	}
	if c.Quota == nil {
		return unlimited{}, nil
	}
	tokens := 0
	for _, pp := range p.prompts {
		tokens += len(pp.ids)
	}
	return c.Quota.Begin(now, tokens)
}
