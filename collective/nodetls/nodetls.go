// Package nodetls secures the streams between nodes: mutual TLS 1.3, in which
// both ends show a certificate of the cluster's CA that carries the nodes' name.
//
// The name is one for all nodes (a DNS name, DefaultName), not a host's: nodes
// are found through etcd and change their addresses, so what counts is who signed
// for them. Coordinators and workers have the same role here; which coordinator
// may command a worker is a matter of epochs (registry.Generation).
//
// Files are read again when they change: new handshakes use the new ones, streams
// that stand go on. A handshake that fails is logged on both ends, with the reason.
//
// A nil *Source is a cluster without TLS: its credentials are plain text.
package nodetls

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sullae/sullae/collective/reload"
)

// DefaultName is the DNS name in the certificates of nodes.
const DefaultName = "sullae-node"

// Flags that errors name.
const (
	flagCA   = "--node-ca"
	flagCert = "--node-cert"
	flagKey  = "--node-key"
	flagName = "--node-name"
)

// Files say where a node's certificates are, in PEM.
type Files struct {
	CA   string // CAs that sign for nodes; several while one replaces another
	Cert string // this node's certificate, and those between it and the CA
	Key  string // its private key
	Name string // DNS name that nodes' certificates carry; "": DefaultName
}

// Source is a node's certificate and the CAs that it accepts, as its files have
// them now.
type Source struct {
	files Files
	log   *slog.Logger
	said  limiter

	value *reload.Value[*material]

	mu     sync.Mutex
	warned time.Time // end of validity that was warned of
}

// Load reads and checks the files. Errors name flag and file, and what to do.
func Load(f Files, log *slog.Logger) (*Source, error) {
	if f.Name == "" {
		f.Name = DefaultName
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	value, err := reload.New(reload.Config[*material]{
		Files: []string{f.CA, f.Cert, f.Key},
		Load:  func() (*material, error) { return f.load(time.Now()) },
		Changed: func(m *material) {
			log.Info("certificates read again: new connections use them",
				"file", f.Cert, "serial", m.leaf.SerialNumber.Text(16), "expires", m.notAfter.Format(time.RFC3339))
		},
		Broken: func(err error, m *material) {
			log.Error("new certificates cannot be used; the ones before stay in use", "err", err, "expires", m.notAfter.Format(time.RFC3339))
		},
	})
	if err != nil {
		return nil, err
	}
	return &Source{files: f, log: log, value: value}, nil
}

// current is what the files hold; where that is broken, what they held before.
func (s *Source) current() *material { return s.value.Get() }

// Server is for a node's gRPC server.
func (s *Source) Server() credentials.TransportCredentials { return s.credentials() }

// Client is for connections to other nodes; DialOptions has it and more.
func (s *Source) Client() credentials.TransportCredentials { return s.credentials() }

func (s *Source) credentials() credentials.TransportCredentials {
	if s == nil {
		return insecure.NewCredentials()
	}
	return creds{s}
}

// NotAfter is when peers cease to accept the certificate in use.
func (s *Source) NotAfter() time.Time {
	return s.value.Last().notAfter
}

// watchEvery is how often Watch looks at the files.
const watchEvery = 2 * time.Second

// Watch looks at the files until ctx ends, so that new ones are checked, and
// complained about, when they are put in place and not at the next handshake. It
// warns before the certificate in use expires. It returns nil.
func (s *Source) Watch(ctx context.Context) error {
	if s == nil {
		return nil
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		s.current()
		s.warnOfExpiry(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// warnOfExpiry speaks once in the last tenth of a certificate's time.
func (s *Source) warnOfExpiry(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.value.Last()
	end := m.notAfter
	if end.Equal(s.warned) || end.Sub(now) > end.Sub(m.leaf.NotBefore)/10 {
		return
	}
	s.warned = end
	s.log.Warn("this node's certificate expires soon: peers will refuse it from then on; put a new one in place (no restart is needed)",
		"file", s.files.Cert, "expires", end.Format(time.RFC3339))
}
