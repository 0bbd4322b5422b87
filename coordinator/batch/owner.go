package batch

import (
	"context"
	"net/http"

	"github.com/sullae/sullae/coordinator/gateway"
)

// sees reports whether a caller may know of what an API key has made: its own, an
// admin all, and everybody all where there are no keys. To others it is not there.
func sees(c gateway.Caller, owner string) bool {
	return c.Name == "" || c.Admin || c.Name == owner
}

// owner is whose a request's files and batches are.
func owner(r *http.Request) string { return gateway.CallerOf(r.Context()).Name }

// as makes a line's request its batch's owner's, limits included.
func (s *Service) as(ctx context.Context, owner string) context.Context {
	if owner == "" || s.cfg.Caller == nil {
		return ctx
	}
	return gateway.WithCaller(ctx, s.cfg.Caller(owner))
}
