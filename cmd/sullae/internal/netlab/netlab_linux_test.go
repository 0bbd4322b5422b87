package netlab

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// lab makes hosts, or skips where that cannot be.
func lab(t *testing.T, hosts int) *Lab {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	l, err := New(hosts)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		goleak.VerifyNone(t, leaks)
	})
	return l
}

// echo answers every byte that comes to host i; it is this test's own server,
// opened in the host's namespace.
func echo(t *testing.T, l *Lab, i int) string {
	t.Helper()
	var ln net.Listener
	if err := onThread(func() (err error) {
		if err = l.hosts[i].enter(); err == nil {
			ln, err = net.Listen("tcp", l.Addr(i)+":0")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { <-stop; c.Close() })
			wg.Go(func() {
				b := make([]byte, 1)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					c.Write(b)
				}
			})
		}
	})
	return ln.Addr().String()
}

// TestWire: a round trip takes twice the delay; a cut host is silent and a mended
// one goes on with the same connection; a cut pair leaves the others alone; a
// process started on a host sees that host's addresses alone.
func TestWire(t *testing.T) {
	l := lab(t, 3)
	addr := echo(t, l, 1)
	dial := func(from int) net.Conn {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := l.Dial(ctx, from, "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	turn := func(c net.Conn, within time.Duration) (time.Duration, error) {
		b, start := []byte{1}, time.Now()
		c.SetDeadline(start.Add(within))
		_, err := c.Write(b)
		if err == nil {
			_, err = c.Read(b)
		}
		return time.Since(start), err
	}
	a, b := dial(0), dial(2)
	l.SetLink(Link{Delay: 20 * time.Millisecond, BitsPerSecond: 1e9})
	if d, err := turn(a, 5*time.Second); err != nil || d < 40*time.Millisecond {
		t.Errorf("a round trip takes %v, %v; the wire delays by 20 ms each way", d, err)
	}
	l.SetLink(Link{})

	l.CutPair(0, 1, true)
	if _, err := turn(a, 200*time.Millisecond); err == nil {
		t.Error("the cut pair talks")
	}
	if _, err := turn(b, 5*time.Second); err != nil {
		t.Errorf("the other pair: %v", err)
	}
	l.CutPair(0, 1, false)
	back := make([]byte, 1)
	a.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := a.Read(back); err != nil { // what was written into the cut
		t.Errorf("after the cut: %v", err)
	}

	l.Cut(1, true)
	if _, err := turn(b, 200*time.Millisecond); err == nil {
		t.Error("the cut host talks")
	}
	l.Cut(1, false)
	b.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := b.Read(back); err != nil {
		t.Errorf("after the cut: %v", err)
	}

	var out strings.Builder
	cmd := exec.Command("cat", "/proc/net/fib_trie")
	cmd.Stdout = &out
	ended, err := l.Start(2, cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !strings.Contains(out.String(), l.Addr(2)) || strings.Contains(out.String(), l.Addr(0)) {
		t.Errorf("%v: a process on host 2 sees\n%s", err, out.String())
	}
}

// TestLoss: what is lost is as much as was asked for.
func TestLoss(t *testing.T) {
	l := lab(t, 2)
	l.SetLink(Link{Loss: 0.5})
	var in, out net.PacketConn
	for i, c := range []*net.PacketConn{&in, &out} {
		if err := onThread(func() (err error) {
			if err = l.hosts[i].enter(); err == nil {
				*c, err = net.ListenPacket("udp", l.Addr(i)+":0")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer (*c).Close()
	}
	const sent = 200 // as many as a socket holds
	for range sent {
		out.WriteTo([]byte("x"), in.LocalAddr())
	}
	got := 0
	for b := make([]byte, 10); ; got++ {
		in.SetDeadline(time.Now().Add(300 * time.Millisecond))
		if _, _, err := in.ReadFrom(b); err != nil {
			break
		}
	}
	if got < sent/3 || got > sent*2/3 {
		t.Errorf("%d of %d came over a wire that loses half", got, sent)
	}
}
