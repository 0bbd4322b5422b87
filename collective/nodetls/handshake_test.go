package nodetls

import (
	"context"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// serve runs a gRPC server for a node; nil: without TLS.
func serve(t testing.TB, s *Source) (addr string, hs *health.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.Creds(s.Server()))
	hs = health.NewServer()
	healthv1.RegisterHealthServer(srv, hs)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l.Addr().String(), hs
}

func dial(t testing.TB, s *Source, addr string) healthv1.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, s.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthv1.NewHealthClient(conn)
}

// call makes a unary call and opens a stream; both must agree.
func call(t testing.TB, s *Source, addr string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	client := dial(t, s, addr)
	_, err := client.Check(ctx, &healthv1.HealthCheckRequest{})
	stream, serr := client.Watch(ctx, &healthv1.HealthCheckRequest{})
	if serr == nil {
		_, serr = stream.Recv()
	}
	if status.Code(err) != status.Code(serr) {
		t.Errorf("call: %v; stream: %v", err, serr)
	}
	return err
}

// TestHandshakes: who is let in by whom, and what both ends say if not.
func TestHandshakes(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	bundle := caPEM(t, ca)
	good := func() *node { return newNode(t, bundle, issue(t, ca, nil)) }
	foreign := func() *node { return newNode(t, caPEM(t, other), issue(t, other, nil)) }
	// It accepts our CA, but ours does not sign for it.
	stranger := func() *node { return unchecked(t, caPEM(t, ca, other), issue(t, other, nil)) }
	old := func() *node { return unchecked(t, bundle, issue(t, ca, expired)) }
	named := func() *node {
		return unchecked(t, bundle, issue(t, ca, func(c *x509.Certificate) { c.DNSNames = []string{"etcd"} }))
	}
	serverOnly := func() *node {
		return unchecked(t, bundle, issue(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }))
	}
	plain := func() *node { return &node{log: &logged{}} }
	for _, c := range []struct {
		name           string
		client, server func() *node
		code           codes.Code
		says           string // the client's error
		clientLog      string
		serverLog      string
	}{
		{"both good", good, good, codes.OK, "", "", ""},
		{"both plain", plain, plain, codes.OK, "", "", ""},
		{"foreign client", foreign, good, codes.Unauthenticated, "not signed by a CA in --node-ca", "not signed by a CA", "the peer refuses this node's certificate"},
		{"foreign server", good, foreign, codes.Unauthenticated, "not signed by a CA in --node-ca", "not signed by a CA", "the peer refuses this node's certificate"},
		{"stranger as client", stranger, good, codes.Unauthenticated, "refuses this node's certificate", "unknown certificate authority", "not signed by a CA in --node-ca"},
		{"expired client", old, good, codes.Unauthenticated, "refuses this node's certificate", "expired certificate", "is valid from"},
		{"expired server", good, old, codes.Unauthenticated, "is valid from", "is valid from", "it expired on"},
		{"misnamed client", named, good, codes.Unauthenticated, "refuses this node's certificate", "bad certificate", "does not carry the nodes' name"},
		{"misnamed server", good, named, codes.Unauthenticated, "its names: etcd", "its names: etcd", "bad certificate"},
		{"client for servers only", serverOnly, good, codes.Unauthenticated, "refuses this node's certificate", "bad certificate", "not for this use"},
		{"plain client", plain, good, codes.Unavailable, "where the peer has --node-ca, this node needs it too", "", "the peer speaks plain text"},
		{"plain server", good, plain, codes.Unauthenticated, "the peer speaks plain text: give it --node-ca", "the peer speaks plain text", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := c.client(), c.server()
			addr, _ := serve(t, server.Source)
			began := time.Now()
			err := call(t, client.Source, addr)
			if status.Code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v: %s", err, c.code, c.says)
			}
			if c.code == codes.Unauthenticated && !strings.HasPrefix(status.Convert(err).Message(), "certificate not accepted: ") {
				t.Errorf("%q does not begin with what it is about", status.Convert(err).Message())
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			for _, l := range []struct {
				who  string
				log  *logged
				want string
			}{{"client", client.log, c.clientLog}, {"server", server.log, c.serverLog}} {
				if text := l.log.await(l.want); !strings.Contains(text, l.want) || l.want == "" && text != "" {
					t.Errorf("the %s's log: %q, want %q", l.who, text, l.want)
				}
			}
		})
	}
}

// TestNoCertificate: a client that trusts the CA but shows nothing.
func TestNoCertificate(t *testing.T) {
	ca := newCA(t)
	server := newNode(t, caPEM(t, ca), issue(t, ca, nil))
	addr, _ := serve(t, server.Source)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, DefaultName)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	const want = "didn't provide a certificate"
	if log := server.log.await(want); !strings.Contains(log, want) {
		t.Errorf("log: %s", log)
	}
}

// TestProbe: a connection that is closed without a word is not worth a line, and
// one that stays silent does not hold up others.
func TestProbe(t *testing.T) {
	ca := newCA(t)
	server := newNode(t, caPEM(t, ca), issue(t, ca, nil))
	addr, _ := serve(t, server.Source)
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).CloseWrite()
	}
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := call(t, newNode(t, caPEM(t, ca), issue(t, ca, nil)).Source, addr); err != nil {
		t.Error(err)
	}
	if log := server.log.String(); log != "" {
		t.Errorf("log: %s", log)
	}
}

// serial is the certificate that a server shows to a new connection.
func serial(t testing.TB, s *Source, addr string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var p peer.Peer
	if _, err := dial(t, s, addr).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Peer(&p)); err != nil {
		t.Fatal(err)
	}
	return p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].SerialNumber.Text(16)
}

// TestRotation: pairs and CAs are replaced under a stream that goes on.
func TestRotation(t *testing.T) {
	oldCA, newCA := newCA(t), newCA(t)
	server := newNode(t, caPEM(t, oldCA), issue(t, oldCA, nil))
	client := newNode(t, caPEM(t, oldCA), issue(t, oldCA, nil))
	addr, hs := serve(t, server.Source)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := dial(t, client.Source, addr).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := healthv1.HealthCheckResponse_SERVING
	alive := func(when string) {
		t.Helper()
		m, err := stream.Recv()
		if err != nil || m.Status != next {
			t.Fatalf("%s: %v, %v", when, m, err)
		}
		next = healthv1.HealthCheckResponse_SERVING + healthv1.HealthCheckResponse_NOT_SERVING - next
		hs.SetServingStatus("", next)
	}
	alive("at first")

	before := serial(t, client.Source, addr)
	write(t, server.dir, caPEM(t, oldCA), issue(t, oldCA, nil))
	if after := serial(t, client.Source, addr); after == before {
		t.Error("the old certificate is still shown")
	}
	alive("after a new pair")

	// A CA is replaced in three rounds: accept both, change pairs, drop the old.
	both := caPEM(t, oldCA, newCA)
	write(t, server.dir, both, issue(t, oldCA, nil))
	write(t, client.dir, both, issue(t, newCA, nil))
	if err := call(t, client.Source, addr); err != nil {
		t.Error("a client of the new CA:", err)
	}
	write(t, server.dir, both, issue(t, newCA, nil))
	if err := call(t, client.Source, addr); err != nil {
		t.Error("a server of the new CA:", err)
	}
	write(t, server.dir, caPEM(t, newCA), issue(t, newCA, nil))
	if err := call(t, client.Source, addr); err != nil {
		t.Error("without the old CA:", err)
	}
	late := newNode(t, both, issue(t, oldCA, nil))
	if err := call(t, late.Source, addr); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a client of the old CA: %v", err)
	}
	alive("after a new CA")

	write(t, server.dir, caPEM(t, newCA), Pair{[]byte("nonsense"), []byte("nonsense")})
	if err := call(t, client.Source, addr); err != nil {
		t.Error("with a broken new pair:", err)
	}
	alive("to the end")
}
