package forward

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"

	"github.com/pires/go-proxyproto"
)

// proof is the type, of those for applications' own use, of the PROXY header's
// extension by which a coordinator shows that it may speak for a client: the
// client's address under the leader's key.
const proof proxyproto.PP2Type = 0xE0

// NewKey makes a listener's key. Who knows it may say where a connection comes
// from.
func NewKey() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

func sign(client net.Addr, key string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(client.String()))
	return h.Sum(nil)
}

// header is what goes ahead of a client's bytes: a PROXY header, version 2.
func header(client, server net.Addr, key string) ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(2, client, server)
	if h.SourceAddr != nil {
		if err := h.SetTLVs([]proxyproto.TLV{{Type: proof, Value: sign(h.SourceAddr, key)}}); err != nil {
			return nil, err
		}
	}
	return h.Format()
}

var errNoProof = errors.New("a PROXY header from somebody who is no coordinator")

// check refuses headers that are not of another coordinator.
func (f *Listener) check(h *proxyproto.Header) error {
	tlvs, err := h.TLVs()
	if err != nil {
		return err
	}
	for _, t := range tlvs {
		if t.Type == proof && h.SourceAddr != nil && hmac.Equal(t.Value, sign(h.SourceAddr, f.key)) {
			return nil
		}
	}
	f.log.Warn("connection refused", "from", h.SourceAddr, "err", errNoProof)
	return errNoProof
}

// caller is an accepted connection, whose RemoteAddr is its client's: that of the
// PROXY header where a coordinator has sent one ahead. To tell, RemoteAddr and Read
// wait for the first bytes, RemoteAddr no longer than Patience.
type caller struct{ *proxyproto.Conn }

func (f *Listener) caller(conn net.Conn) net.Conn {
	return caller{proxyproto.NewConn(conn, proxyproto.WithPolicy(proxyproto.USE), proxyproto.ValidateHeader(f.check), proxyproto.SetReadHeaderTimeout(Patience))}
}

// CloseWrite ends one direction.
func (c caller) CloseWrite() error {
	if half, ok := c.Raw().(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
