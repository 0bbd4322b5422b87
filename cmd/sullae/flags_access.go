package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/sullae/sullae/proto/client"
)

// accessFlags are what a client needs where a coordinator asks who it is.
type accessFlags struct {
	APIKey     string `name:"api-key" placeholder:"KEY|@FILE" help:"API key, or @FILE that holds it; better given as SULLAE_API_KEY."`
	TLS        bool   `name:"tls" help:"Use TLS to --grpc; an https:// address needs no flag."`
	CA         string `name:"ca" placeholder:"FILE" help:"PEM file of the CAs that sign for the coordinator; default: the system's. Means --tls."`
	ClientCert string `placeholder:"FILE" help:"PEM file of this client's certificate, where the coordinator asks for one. Means --tls."`
	ClientKey  string `placeholder:"FILE" help:"PEM file of its key."`
}

// key is the API key, "" for none.
func (f accessFlags) key() (string, error) {
	path, file := strings.CutPrefix(f.APIKey, "@")
	if !file {
		return strings.TrimSpace(f.APIKey), nil // a Secret often has a line break at its end
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--api-key: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// tlsConfig is nil where no flag asks for TLS.
func (f accessFlags) tlsConfig() (*tls.Config, error) {
	if !f.TLS && f.CA == "" && f.ClientCert == "" && f.ClientKey == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		raw, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("--ca %s holds no certificate in PEM", f.CA)
		}
	}
	if f.ClientCert != "" || f.ClientKey != "" {
		pair, err := tls.LoadX509KeyPair(f.ClientCert, f.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert %s, --client-key %s: %w", f.ClientCert, f.ClientKey, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dial are the options for a coordinator's gRPC.
func (f accessFlags) dial() (opts []client.Option, err error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	if key != "" {
		opts = append(opts, client.WithAPIKey(key))
	}
	security, err := f.tlsConfig()
	if security != nil {
		opts = append(opts, client.WithTLS(security))
	}
	return opts, err
}

// http is a client for a coordinator's HTTP.
func (f accessFlags) http() (*http.Client, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	security, err := f.tlsConfig()
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	if security != nil {
		t.TLSClientConfig = security
	}
	return &http.Client{Transport: withKey{t, key}}, nil
}

// withKey sends an API key with every request.
type withKey struct {
	next http.RoundTripper
	key  string
}

// RoundTrip implements http.RoundTripper.
func (t withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.key != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+t.key)
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections is for http.Client.
func (t withKey) CloseIdleConnections() {
	t.next.(*http.Transport).CloseIdleConnections()
}
