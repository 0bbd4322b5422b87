package registry

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Away reports whether a call failed because etcd did not answer, and not
// because of what it answered. A write may have been made all the same.
func Away(err error) bool {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch status.Code(e) {
		case codes.Unavailable, codes.DeadlineExceeded:
			return true
		}
	}
	return false
}
