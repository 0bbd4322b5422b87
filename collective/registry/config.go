package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
)

// Flags of the command line that error messages name.
const (
	flagEndpoints  = "--etcd"
	flagUsername   = "--etcd-user"
	flagPassword   = "--etcd-password"
	flagCA         = "--etcd-ca"
	flagCert       = "--etcd-cert"
	flagKey        = "--etcd-key"
	flagServerName = "--etcd-server-name"
)

// Config says where etcd is and how to talk to it. Endpoints alone must be set.
type Config struct {
	// Endpoints are host:port, http://host:port or https://host:port. Without
	// a scheme TLS is used if a file of TLS is named.
	Endpoints []string
	// Username and Password are for an etcd with authentication on.
	Username, Password string
	TLS                TLSFiles
	// Prefix (default /sullae) and Cluster (default "default") are where the
	// keys are: clusters of different names share an etcd without meeting.
	Prefix, Cluster string
	// DialTimeout bounds Open; default 5 s.
	DialTimeout time.Duration
	// TTL is how long a process that fell silent stays registered, or leader;
	// default 10 s, in whole seconds. etcd itself refuses less than 2 s and
	// grants that.
	TTL time.Duration
	// Logger gets outages, lost leases and bad values; nil discards them.
	Logger *slog.Logger
}

// TLSFiles are PEM files. With none, https uses the system's roots.
type TLSFiles struct {
	CA         string // roots that etcd's certificate is checked against
	Cert, Key  string // our own certificate; read again at each handshake
	ServerName string // name in etcd's certificate, where it isn't the endpoint's
}

func (f TLSFiles) any() bool { return f != TLSFiles{} }

// withDefaults fills what is empty and refuses what can't work.
func (c Config) withDefaults() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Cluster == "" {
		c.Cluster = DefaultCluster
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.TTL <= 0 {
		c.TTL = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := checkName("cluster", c.Cluster); err != nil {
		return c, err
	}
	for part := range strings.SplitSeq(strings.Trim(c.Prefix, "/"), "/") {
		if err := checkName("prefix", part); err != nil {
			return c, err
		}
	}
	return c, nil
}

// withEndpoints gives each endpoint its scheme, and checks what belongs together.
func (c Config) withEndpoints() (Config, error) {
	if len(c.Endpoints) == 0 {
		return c, fmt.Errorf("registry: no etcd endpoint: name one with %s host:port", flagEndpoints)
	}
	switch {
	case c.Username != "" && c.Password == "":
		return c, fmt.Errorf("registry: %s is given, %s is not", flagUsername, flagPassword)
	case c.Username == "" && c.Password != "":
		return c, fmt.Errorf("registry: %s is given, %s is not", flagPassword, flagUsername)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return c, fmt.Errorf("registry: %s and %s go together: one is missing", flagCert, flagKey)
	}
	out := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		u, err := endpointURL(e, c.TLS.any())
		if err != nil {
			return c, fmt.Errorf("registry: %s %q: %w", flagEndpoints, e, err)
		}
		if i > 0 && (u.Scheme == "https") != strings.HasPrefix(out[0], "https:") {
			return c, fmt.Errorf("registry: %s mixes http and https: %s", flagEndpoints, strings.Join(c.Endpoints, ","))
		}
		out[i] = u.String()
	}
	c.Endpoints = out
	return c, nil
}

// endpointURL reads one endpoint; tls says that files for TLS are named.
func endpointURL(s string, tls bool) (*url.URL, error) {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	if !strings.Contains(s, "://") {
		scheme := "http://"
		if tls {
			scheme = "https://"
		}
		s = scheme + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not host:port, nor http(s)://host:port")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %q: only http and https are known", u.Scheme)
	case u.Scheme == "http" && tls:
		return nil, fmt.Errorf("http, but %s, %s, %s or %s is given: write https or leave the scheme out", flagCA, flagCert, flagKey, flagServerName)
	case u.User != nil:
		return nil, fmt.Errorf("no user and password here: use %s and %s", flagUsername, flagPassword)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("something follows host:port")
	}
	if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" {
		return nil, errors.New("no port (etcd's own is 2379)")
	}
	return u, nil
}
