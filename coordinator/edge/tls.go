package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sullae/sullae/collective/reload"
)

// TLSFiles say where the APIs' certificates are, in PEM.
type TLSFiles struct {
	Cert, Key string
	// ClientCA signs for clients: with it every client must show a certificate.
	ClientCA string
}

// TLS is the APIs' certificate, as its files have it now. A nil *TLS is plain text.
type TLS struct {
	value *reload.Value[*material]
}

type material struct {
	config *tls.Config
	leaf   *x509.Certificate
}

// LoadTLS reads and checks the files; without any it gives nil.
func LoadTLS(f TLSFiles, log *slog.Logger) (*TLS, error) {
	switch {
	case f == TLSFiles{}:
		return nil, nil
	case f.Cert == "" || f.Key == "":
		return nil, fmt.Errorf("--tls-cert and --tls-key go together, and --tls-client-ca needs both")
	}
	files := []string{f.Cert, f.Key}
	if f.ClientCA != "" {
		files = append(files, f.ClientCA)
	}
	v, err := reload.New(reload.Config[*material]{
		Files: files, Load: f.load,
		Changed: func(m *material) {
			log.Info("the APIs' certificate read again: new connections use it", "file", f.Cert, "expires", m.leaf.NotAfter.Format(time.RFC3339))
		},
		Broken: func(err error, m *material) {
			log.Error("the APIs' new certificate cannot be used; the one before stays in use", "err", err, "expires", m.leaf.NotAfter.Format(time.RFC3339))
		},
	})
	if err != nil {
		return nil, err
	}
	return &TLS{v}, nil
}

func (f TLSFiles) load() (*material, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.Cert, f.Key, err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("--tls-cert %s: expired on %s", f.Cert, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	m := &material{leaf: pair.Leaf, config: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}}
	if f.ClientCA == "" {
		return m, nil
	}
	raw, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	m.config.ClientCAs = x509.NewCertPool()
	if !m.config.ClientCAs.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("--tls-client-ca %s holds no certificate in PEM", f.ClientCA)
	}
	m.config.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would outlive a CA that is no longer accepted.
	m.config.SessionTicketsDisabled = true
	return m, nil
}

// Config is for servers that speak the protocols (ALPN), the first preferred.
func (t *TLS) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := t.value.Get().config.Clone()
			c.NextProtos = protocols
			return c, nil
		},
	}
}

// NotAfter is when the certificate in use expires.
func (t *TLS) NotAfter() time.Time { return t.value.Last().leaf.NotAfter }

// Watch takes up changes of the files until ctx ends.
func (t *TLS) Watch(ctx context.Context) error {
	if t != nil {
		t.value.Watch(ctx)
	}
	return nil
}
