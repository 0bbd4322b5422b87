package loadtest

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// NewClient is an HTTP client with a connection for each request under way. It
// goes through no proxy and follows no redirect: it measures who it is told to.
// Unless remote is set it connects to this machine alone, whatever a name
// resolves to. security is for https; nil trusts the system's authorities.
func NewClient(remote bool, security *tls.Config) *http.Client {
	d := &net.Dialer{}
	if !remote {
		d.Control = func(_, address string, _ syscall.RawConn) error { return loopback(address) }
	}
	return &http.Client{
		Transport:     &http.Transport{DialContext: d.DialContext, MaxIdleConns: maxInFlight, MaxIdleConnsPerHost: maxInFlight, DisableCompression: true, TLSClientConfig: security},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RemoteError refuses to put a load on another machine.
type RemoteError struct{ Address string }

func (e *RemoteError) Error() string {
	return fmt.Sprintf("%s is not this machine: a load test may hinder whoever else uses it; with --allow-remote it is run", e.Address)
}

func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return &RemoteError{address}
	}
	return nil
}

// CheckLocal refuses a URL that plainly names another machine. What a name
// means is seen only when it is dialled.
func CheckLocal(u *url.URL) error {
	if ip := net.ParseIP(u.Hostname()); ip != nil && !ip.IsLoopback() {
		return &RemoteError{u.Host}
	}
	return nil
}
