package nodetls

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakeTimeout bounds a handshake, so that a peer that says nothing holds
// nobody up.
const handshakeTimeout = 10 * time.Second

// creds implement credentials.TransportCredentials with what the source holds at
// each handshake.
type creds struct{ s *Source }

// ClientHandshake shows our certificate and checks the peer's.
//
// In TLS 1.3 a client has finished before the server has looked at its
// certificate; the refusal comes with the first read. So the first byte is read
// here: an HTTP/2 server speaks at once, and a refusal becomes this handshake's
// error instead of a broken connection's.
func (c creds) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	conn, info, err := c.s.current().client.ClientHandshake(ctx, c.s.files.Name, raw)
	if err == nil {
		p := &peeked{Conn: conn}
		if _, err = p.Conn.Read(p.first[:]); err == nil {
			raw.SetDeadline(time.Time{})
			return p, info, nil
		}
		conn.Close()
	}
	return nil, nil, c.s.refused(err, raw.RemoteAddr())
}

// ServerHandshake does the same for the accepting end. gRPC clears the deadline
// once the client has spoken HTTP/2.
func (c creds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	conn, info, err := c.s.current().server.ServerHandshake(raw)
	if err != nil {
		return nil, nil, c.s.refused(err, raw.RemoteAddr())
	}
	return conn, info, nil
}

// Info implements credentials.TransportCredentials.
func (c creds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: c.s.files.Name}
}

// Clone implements credentials.TransportCredentials.
func (c creds) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials; the name is the
// nodes' in any case.
func (c creds) OverrideServerName(string) error { return nil }

// peeked is a connection whose first byte has been read.
type peeked struct {
	net.Conn
	first [1]byte
	done  bool // first has been handed over; the reader's alone
}

func (p *peeked) Read(b []byte) (int, error) {
	if p.done || len(b) == 0 {
		return p.Conn.Read(b)
	}
	p.done = true
	return copy(b, p.first[:]), nil
}
