package forward

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const leaderKey = "the leader's key"

// node answers each connection with its name and an echo.
type node struct {
	*Listener
	name string
	at   atomic.Pointer[Place]
}

func start(t *testing.T, name string, at Place) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{name: name}
	n.at.Store(&at)
	n.Listener = Listen(l, leaderKey, func() Place { return *n.at.Load() }, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := n.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, n.name+" ")
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		n.Close()
		<-done
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		n.Wait(ctx)
	})
	return n
}

func (n *node) addr() string { return n.Listener.Addr().String() }

// ask says something to a node, half-closes, and returns the whole answer.
func (n *node) ask(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", n.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestPlaces(t *testing.T) {
	leader := start(t, "leader", Place{Here: true})
	standby := start(t, "standby", Place{Addr: leader.addr()})
	for n, want := range map[*node]string{leader: "leader hello", standby: "leader hello"} {
		if got := n.ask(t, "hello"); got != want {
			t.Errorf("%s: %q", n.name, got)
		}
	}
	// Between two leaders a connection waits; so it does while the leader that is
	// named does not listen any more.
	for _, nowhere := range []Place{{}, {Addr: "127.0.0.1:1"}} {
		standby.at.Store(&nowhere)
		answer := make(chan string)
		go func() { answer <- standby.ask(t, "hello") }()
		select {
		case got := <-answer:
			t.Errorf("answered by %q while nobody led", got)
		case <-time.After(3 * lookAgain):
		}
		standby.at.Store(&Place{Here: true})
		if got := <-answer; got != "standby hello" {
			t.Errorf("got %q", got)
		}
	}
}

// TestClose: a connection that waits ends with Close, one that is passed on with
// Wait, whose patience ends.
func TestClose(t *testing.T) {
	leader := start(t, "leader", Place{Here: true})
	standby := start(t, "standby", Place{Addr: leader.addr()})
	passed, err := net.Dial("tcp", standby.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	buf := make([]byte, 64)
	io.WriteString(passed, "x")
	if n, err := io.ReadAtLeast(passed, buf, len("leader x")); string(buf[:n]) != "leader x" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	standby.at.Store(&Place{})
	waits, err := net.Dial("tcp", standby.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	time.Sleep(2 * lookAgain)
	standby.Close()
	waits.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := waits.Read(buf); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a waiting connection: %v", err)
	}
	io.WriteString(passed, "still")
	if n, err := passed.Read(buf); string(buf[:n]) != "still" {
		t.Errorf("after Close: %q, %v", buf[:n], err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	standby.Wait(ctx)
	passed.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := passed.Read(buf); err == nil {
		t.Error("passed on after Wait")
	}
	if _, err := standby.Accept(); err == nil {
		t.Error("accepts after Close")
	}
}
