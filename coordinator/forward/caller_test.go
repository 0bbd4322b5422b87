package forward

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// whose serves connections by one line: the client's address. It returns where.
func whose(t *testing.T, key string, at Place) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := Listen(l, key, func() Place { return at }, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := f.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				from := c.RemoteAddr().String()
				if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
					io.WriteString(c, from)
				}
			}()
		}
	}()
	t.Cleanup(func() { f.Close(); <-done; f.Wait(t.Context()) })
	return l.Addr().String()
}

// TestCaller: who passes on says whose a connection is, over any number of
// coordinators; nobody else can.
func TestCaller(t *testing.T) {
	leader := whose(t, leaderKey, Place{Here: true})
	standby := whose(t, "another key", Place{Addr: leader, Key: leaderKey})
	before := whose(t, "a third key", Place{Addr: standby, Key: "another key"})
	old := whose(t, "", Place{Addr: leader}) // knows of no leader's key
	ask := func(addr string, ahead []byte) (self, answer string) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(append(ahead, 'x'))
		raw, _ := io.ReadAll(c)
		return c.LocalAddr().String(), string(raw)
	}
	for name, addr := range map[string]string{"leader": leader, "standby": standby, "standby before": before} {
		if self, got := ask(addr, nil); got != self {
			t.Errorf("through the %s a client %s is %q", name, self, got)
		}
	}
	if self, got := ask(old, nil); got == self || got == "" {
		t.Errorf("through an old coordinator a client %s is %q", self, got)
	}
	client, server := &net.TCPAddr{IP: net.IP{203, 0, 113, 7}, Port: 4711}, &net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: 80}
	forged, err := header(client, server, "not "+leaderKey)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := proxyproto.HeaderProxyFromAddrs(2, client, server).Format()
	if err != nil {
		t.Fatal(err)
	}
	for name, ahead := range map[string][]byte{"forged": forged, "without a proof": bare, "version 1": []byte("PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n")} {
		for _, addr := range []string{leader, standby} {
			if _, got := ask(addr, bytes.Clone(ahead)); got != "" {
				t.Errorf("a header %s is taken: %q", name, got)
			}
		}
	}
	right, err := header(client, server, leaderKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := ask(leader, right); got != client.String() {
		t.Errorf("a coordinator's header: %q", got)
	}
}
