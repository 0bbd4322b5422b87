package forward

import (
	"net"
	"testing"
	"time"
)

// TestMoves: a connection stays while its place is the same or unknown, and ends
// when it is elsewhere, whether it was served here or passed on.
func TestMoves(t *testing.T) {
	first := start(t, "first", Place{Here: true})
	second := start(t, "second", Place{Here: true})
	for _, at := range []*node{first, start(t, "standby", Place{Addr: first.addr()})} {
		was := *at.at.Load()
		c, err := net.Dial("tcp", at.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		buf := make([]byte, 64)
		say := func(within time.Duration) error {
			c.SetDeadline(time.Now().Add(within))
			_, err := c.Write([]byte("x"))
			if err == nil {
				_, err = c.Read(buf)
			}
			return err
		}
		if err := say(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		for _, p := range []Place{{}, was} {
			at.at.Store(&p)
			time.Sleep(3 * sweepEvery / 2)
			if err := say(5 * time.Second); err != nil {
				t.Errorf("%s: a connection whose place is %+v: %v", at.name, p, err)
			}
		}
		at.at.Store(&Place{Addr: second.addr()})
		deadline := time.Now().Add(5 * time.Second)
		for say(time.Second) == nil {
			if time.Now().After(deadline) {
				t.Fatalf("%s: a connection stays though its place is elsewhere", at.name)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
