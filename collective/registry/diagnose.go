package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// ErrUnreachable is of an etcd that does not answer.
var ErrUnreachable = errors.New("etcd does not answer")

// minProbe is what finding out the reason may take, however short DialTimeout is.
const minProbe = time.Second

// refused reports whether err is etcd's final word about who we are or what we
// may do: trying again is of no use.
func refused(err error) bool {
	for _, e := range []error{
		rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
		rpctypes.ErrPermissionDenied, rpctypes.ErrPermissionNotGranted,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// explain says why Open failed with err, and what to check.
func explain(ctx context.Context, err error, cfg Config, tlsConfig *tls.Config) error {
	at := flagEndpoints + " " + strings.Join(cfg.Endpoints, ",")
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserNotFound):
		return fmt.Errorf("registry: etcd (%s) refuses user %q: check %s and %s: %w", at, cfg.Username, flagUsername, flagPassword, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("registry: etcd (%s) wants a user: give %s and %s: %w", at, flagUsername, flagPassword, err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("registry: etcd (%s): user %q may not read %s: grant it a role with readwrite on that prefix: %w",
			at, cfg.Username, newKeys(cfg.Prefix, cfg.Cluster), err)
	}

	ctx, cancel := context.WithTimeout(ctx, max(cfg.DialTimeout/5, minProbe))
	defer cancel()
	reasons := make([]string, len(cfg.Endpoints))
	var wg sync.WaitGroup
	for i, e := range cfg.Endpoints {
		wg.Go(func() { reasons[i] = probe(ctx, e, tlsConfig) })
	}
	wg.Wait()
	return fmt.Errorf("registry: %w (%s): %s: %w", ErrUnreachable, at, strings.Join(reasons, "; "), err)
}

// probe connects to an endpoint by hand and says what is wrong with it. The
// client itself only knows that it waited in vain.
func probe(ctx context.Context, endpoint string, tlsConfig *tls.Config) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err.Error()
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return u.Host + ": " + dialReason(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if tlsConfig == nil {
		// Does it want TLS? No certificate is checked, nothing is sent.
		err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
		var alert tls.AlertError
		if err == nil || errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls") {
			return fmt.Sprintf("%s speaks TLS: write https://%s, and give %s if its certificate is not public", u.Host, u.Host, flagCA)
		}
		return u.Host + " takes connections but does not answer as etcd does: check that it is etcd's client port, and that etcd has a leader"
	}
	c := tlsConfig.Clone()
	c.NextProtos = []string{"h2"}
	if c.ServerName == "" {
		c.ServerName = u.Hostname()
	}
	secure := tls.Client(conn, c)
	err = secure.HandshakeContext(ctx)
	if err == nil {
		// In TLS 1.3 a server that refuses our certificate says so only now.
		secure.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err = secure.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return u.Host + ": TLS: " + tlsReason(err)
	}
	return u.Host + " speaks TLS but does not answer as etcd does: check that it is etcd's client port, and that etcd has a leader"
}

func dialReason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "no such host: check the name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: check that etcd runs there and listens at this port"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer: check the address and the firewall"
	}
	return err.Error()
}

func tlsReason(err error) string {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return fmt.Sprintf("%v: check %s", err, flagCA)
	case errors.As(err, &hostname):
		return fmt.Sprintf("%v: check the endpoint's name, or give %s", err, flagServerName)
	case errors.As(err, &header), errors.Is(err, io.EOF):
		return "it does not speak TLS, or not with us: write http:// or leave out the TLS files"
	case strings.Contains(err.Error(), "remote error"):
		return fmt.Sprintf("%v: it refuses our certificate: check %s and %s", err, flagCert, flagKey)
	}
	return err.Error()
}
