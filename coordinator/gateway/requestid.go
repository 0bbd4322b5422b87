package gateway

import "crypto/rand"

// RequestIDHeader is the header (and gRPC metadata key) that carries a
// request's id, both ways.
const RequestIDHeader = "x-request-id"

const maxRequestID = 128

// NewRequestID makes an id.
func NewRequestID() string { return rand.Text() }

// ValidRequestID reports whether id may name a request: 1 to 128 printable
// ASCII characters without blanks, so that it can go in headers and logs.
func ValidRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
