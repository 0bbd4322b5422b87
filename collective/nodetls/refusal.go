package nodetls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// notAccepted begins the text of every refusal. gRPC keeps no more than the text
// of a handshake's error, so DialOptions finds refusals by it.
const notAccepted = "certificate not accepted"

// refused logs a handshake's failure and says what it means. Failures of the
// network (a peer that ends, a probe) stay as they are.
func (s *Source) refused(err error, peer net.Addr) error {
	why := s.explain(err)
	if why == "" {
		return err
	}
	host := peer.String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if s.said.allow(host+why, time.Now()) {
		s.log.Warn(notAccepted, "peer", peer.String(), "err", why)
	}
	return fmt.Errorf("%s: %s", notAccepted, why)
}

// explain is "" for an error that is not about certificates.
func (s *Source) explain(err error) string {
	var (
		unverified *tls.CertificateVerificationError
		invalid    x509.CertificateInvalidError
		otherName  x509.HostnameError
		remote     *net.OpError
	)
	whose := "the peer's certificate"
	if errors.As(err, &unverified) && len(unverified.UnverifiedCertificates) > 0 {
		whose = describe(unverified.UnverifiedCertificates[0])
	} else if errors.As(err, &otherName) {
		whose = describe(otherName.Certificate)
	}
	switch {
	case errors.As(err, new(tls.RecordHeaderError)):
		return fmt.Sprintf("the peer speaks plain text: give it %s, %s and %s", flagCA, flagCert, flagKey)
	case errors.As(err, &remote) && remote.Op == "remote error":
		text := fmt.Sprintf("the peer refuses this node's certificate %s: %v (its log says more)", s.files.Cert, remote.Err)
		if end := s.NotAfter(); time.Now().After(end) {
			text += fmt.Sprintf("; it expired on %s", end.Format(time.RFC3339))
		}
		return text
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Sprintf("%s is not signed by a CA in %s %s", whose, flagCA, s.files.CA)
	case errors.As(err, &otherName):
		return fmt.Sprintf("%s does not carry the nodes' name %q; its names: %s", whose, s.files.Name, names(otherName.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("%s is valid from %s to %s only", whose, invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return whose + " is not for this use: its extended key usage must have serverAuth and clientAuth"
	case unverified != nil:
		return fmt.Sprintf("%s: %v", whose, unverified.Err)
	case broken(err):
		return ""
	}
	return err.Error() // TLS's own words: no certificate, no common version
}

func describe(c *x509.Certificate) string {
	return fmt.Sprintf("the peer's certificate of %s (issued by %s, serial %s)", subject(c), issuer(c), c.SerialNumber.Text(16))
}

// broken tells a connection that ended from a peer that is not wanted.
func broken(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return true
		}
	}
	var n net.Error
	return errors.As(err, &n)
}

// limiter lets each message through once in a while: peers try again for as long
// as they are refused.
type limiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	sayEvery = 30 * time.Second
	maxSaid  = 256 // messages remembered
)

func (l *limiter) allow(message string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.last[message]; ok && now.Sub(at) < sayEvery {
		return false
	}
	if l.last == nil || len(l.last) >= maxSaid {
		l.last = map[string]time.Time{}
	}
	l.last[message] = now
	return true
}
