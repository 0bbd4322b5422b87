package nodetls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"time"
)

// skew is how far the clocks of hosts may lie apart: certificates are valid from
// that long ago.
const skew = time.Hour

// Authority is a CA that signs for the nodes of one cluster: for development, and
// for `sullae up`. Where an organization has a CA (cert-manager, Vault) that is
// the better one.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate and its key in PEM.
type Pair struct{ Cert, Key []byte }

// NewAuthority makes a CA.
func NewAuthority(cluster string, life time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	t := template("Sullae CA of cluster "+cluster, life)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	a.cert, err = a.sign(t, t, key)
	return a, err
}

// ParseAuthority reads what Pair wrote.
func ParseAuthority(p Pair) (*Authority, error) {
	block, _ := pem.Decode(p.Cert)
	if block == nil {
		return nil, errors.New("the CA's certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the CA's certificate: %w", err)
	}
	if block, _ = pem.Decode(p.Key); block == nil {
		return nil, errors.New("the CA's key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the CA's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the CA's key does not belong to its certificate")
	}
	if time.Now().After(cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired on %s", cert.NotAfter.Format(time.RFC3339))
	}
	return &Authority{cert, key}, nil
}

// Pair is the CA itself. Whoever has its key can join the cluster.
func (a *Authority) Pair() (Pair, error) { return encode(a.cert, a.key) }

// NotAfter is when the CA expires.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

var dnsName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

// Issue makes the pair of a node, for both ends of a stream. It lives no longer
// than the CA.
func (a *Authority) Issue(name string, life time.Duration) (Pair, error) {
	if !dnsName.MatchString(name) || net.ParseIP(name) != nil {
		return Pair{}, fmt.Errorf("%q is not a DNS name", name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	t := template(name, life)
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	t.DNSNames = []string{name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	cert, err := a.sign(t, a.cert, key)
	if err != nil {
		return Pair{}, err
	}
	return encode(cert, key)
}

func template(name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f // positive in DER without a byte more
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{Organization: []string{"Sullae"}, CommonName: name},
		NotBefore:    now.Add(-skew), NotAfter: now.Add(life),
	}
}

func (a *Authority) sign(t, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func encode(cert *x509.Certificate, key *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}, nil
}
