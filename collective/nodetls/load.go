package nodetls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

// advice ends the errors that a newcomer meets.
const advice = "make development certificates with: sullae certs DIR"

// material is one reading of the files. It never changes.
type material struct {
	leaf     *x509.Certificate
	notAfter time.Time // of the chain's shortest-lived certificate
	server   credentials.TransportCredentials
	client   credentials.TransportCredentials
}

// load reads the files and checks everything that a peer would.
func (f Files) load(now time.Time) (*material, error) {
	if err := f.complete(); err != nil {
		return nil, err
	}
	m := &material{}
	cas, err := readCAs(f.CA)
	if err != nil {
		return nil, err
	}
	pair, err := f.readPair()
	if err != nil {
		return nil, err
	}
	m.leaf = pair.Leaf
	if m.notAfter, err = f.verify(pair, cas, now); err != nil {
		return nil, err
	}
	m.server, m.client = f.configure(pair, cas)
	return m, nil
}

// complete refuses a part of the three flags.
func (f Files) complete() error {
	var missing []string
	for _, x := range [][2]string{{flagCA, f.CA}, {flagCert, f.Cert}, {flagKey, f.Key}} {
		if x[1] == "" {
			missing = append(missing, x[0])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s, %s and %s go together; missing: %s (%s)", flagCA, flagCert, flagKey, strings.Join(missing, ", "), advice)
	}
	return nil
}

// configure makes the TLS configurations of both ends.
func (f Files) configure(pair tls.Certificate, cas *x509.CertPool) (server, client credentials.TransportCredentials) {
	base := tls.Config{
		MinVersion: tls.VersionTLS13,
		// Every handshake is a full one: a resumed session would outlive a CA
		// that is no longer accepted. Nodes connect rarely and for long.
		SessionTicketsDisabled: true,
		// Records of full size from the first byte: activations come in bursts,
		// and small first records would help nobody.
		DynamicRecordSizingDisabled: true,
	}
	s := base.Clone()
	s.Certificates, s.ClientCAs, s.ClientAuth = []tls.Certificate{pair}, cas, tls.RequireAndVerifyClientCert
	s.VerifyConnection = func(cs tls.ConnectionState) error {
		return cs.PeerCertificates[0].VerifyHostname(f.Name)
	}
	c := base.Clone()
	c.RootCAs = cas
	// Ours is sent whichever CAs the server asks for: by itself a client would
	// send none when it has none of theirs, and the server could not say what is
	// wrong with it.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return credentials.NewTLS(s), credentials.NewTLS(c)
}

// readCAs reads a bundle.
func readCAs(file string) (*x509.CertPool, error) {
	certs, err := readCerts(flagCA, file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		if !c.IsCA {
			return nil, fmt.Errorf("%s %s: the certificate of %s is not a CA's", flagCA, file, subject(c))
		}
		pool.AddCert(c)
	}
	return pool, nil
}

// readCerts reads the certificates of a PEM file, at least one.
func readCerts(flag, file string) (certs []*x509.Certificate, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (%s)", flag, err, advice)
	}
	other := ""
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			other = fmt.Sprintf(", but a %s", strings.ToLower(block.Type))
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", flag, file, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s %s holds no certificate in PEM%s", flag, file, other)
	}
	return certs, nil
}

// readPair reads the certificate and its key, and checks that they belong together.
func (f Files) readPair() (pair tls.Certificate, err error) {
	certs, err := readCerts(flagCert, f.Cert)
	if err != nil {
		return pair, err
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return pair, fmt.Errorf("%s: %w (%s)", flagKey, err, advice)
	}
	var chain []byte
	for _, c := range certs {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if pair, err = tls.X509KeyPair(chain, key); err != nil {
		return pair, fmt.Errorf("%s %s is not the key of %s %s: %w", flagKey, f.Key, flagCert, f.Cert, err)
	}
	pair.Leaf = certs[0]
	return pair, nil
}

// verify checks the pair as peers will, and returns until when they accept it.
func (f Files) verify(pair tls.Certificate, cas *x509.CertPool, now time.Time) (end time.Time, err error) {
	leaf := pair.Leaf
	bad := func(format string, args ...any) (time.Time, error) {
		return time.Time{}, fmt.Errorf("%s %s: %w (%s)", flagCert, f.Cert, fmt.Errorf(format, args...), advice)
	}
	switch {
	case now.Before(leaf.NotBefore):
		return bad("not valid before %s, and this host's clock says %s", leaf.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return bad("expired on %s", leaf.NotAfter.Format(time.RFC3339))
	}
	if err := leaf.VerifyHostname(f.Name); err != nil {
		return bad("does not carry the name %q that %s asks for; its names: %s", f.Name, flagName, names(leaf))
	}
	between := x509.NewCertPool()
	for _, raw := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(raw); err == nil {
			between.AddCert(c)
		}
	}
	for _, use := range []struct {
		as   string
		eku  x509.ExtKeyUsage
		name string
	}{{"server", x509.ExtKeyUsageServerAuth, "serverAuth"}, {"client", x509.ExtKeyUsageClientAuth, "clientAuth"}} {
		chains, err := leaf.Verify(x509.VerifyOptions{Roots: cas, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use.eku}})
		var invalid x509.CertificateInvalidError
		switch {
		case errors.As(err, new(x509.UnknownAuthorityError)):
			return bad("issued by %s, which is not in %s %s", issuer(leaf), flagCA, f.CA)
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
			return bad("not for use as a %s: a node is both, so the certificate's extended key usage must have serverAuth and clientAuth", use.as)
		case err != nil:
			return bad("%w", err)
		}
		for _, chain := range chains {
			until := leaf.NotAfter
			for _, c := range chain {
				if c.NotAfter.Before(until) {
					until = c.NotAfter
				}
			}
			if until.After(end) {
				end = until
			}
		}
	}
	return end, nil
}

// subject, issuer and names say whose a certificate is.
func subject(c *x509.Certificate) string { return fmt.Sprintf("%q", c.Subject.String()) }
func issuer(c *x509.Certificate) string  { return fmt.Sprintf("%q", c.Issuer.String()) }

func names(c *x509.Certificate) string {
	if len(c.DNSNames) == 0 {
		return "none"
	}
	return strings.Join(c.DNSNames, ", ")
}
