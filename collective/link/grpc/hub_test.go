package grpclink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/colltest"
)

func noLeaks(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
}

// joinTwo has two nodes join with formations of their own.
func joinTwo(t *testing.T, f0, f1 Formation) []error {
	t.Helper()
	nodes, peers := newNodes(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return colltest.Each(nodes, func(r int, n *node) error {
		f := []Formation{f0, f1}[r]
		f.Rank, f.Peers = r, peers
		_, err := n.hub.Join(ctx, f)
		return err
	})
}

// TestRefusal: ranks that do not fit refuse each other at once, and say why.
func TestRefusal(t *testing.T) {
	good := Formation{Group: "g", Epoch: 5, WorldSize: 2, Token: []byte("t")}
	for _, c := range []struct {
		want   string
		change func(f *Formation)
	}{
		{"know the token", func(f *Formation) { f.Token = []byte("u") }},
		{"thresholds or chunks", func(f *Formation) { f.Table = allreduce.TwoHops }},
	} {
		t.Run(c.want, func(t *testing.T) {
			noLeaks(t)
			other := good
			c.change(&other)
			start := time.Now()
			errs := joinTwo(t, good, other)
			if errs[0] == nil || !errors.Is(errs[1], collective.ErrMismatch) || !strings.Contains(errs[1].Error(), c.want) {
				t.Error(errs)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestWorldSize: a rank that counts more ranks than the other names both counts.
func TestWorldSize(t *testing.T) {
	noLeaks(t)
	nodes, peers := newNodes(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	errs := colltest.Each(nodes, func(r int, n *node) error {
		f := Formation{Group: "g", Epoch: 5, Rank: r, WorldSize: 2 + r, Peers: append(peers[:2:2], "127.0.0.1:1")[:2+r]}
		_, err := n.hub.Join(ctx, f)
		return err
	})
	if !errors.Is(errs[1], collective.ErrMismatch) || !strings.Contains(errs[1].Error(), "has 3 ranks in the group where 2 are here") {
		t.Error(errs)
	}
}

// TestMissing: a Join that cannot succeed ends at its deadline and names the
// ranks that are missing, whichever way the link would have gone.
func TestMissing(t *testing.T) {
	noLeaks(t)
	nodes, peers := newNodes(t, 1)
	f := Formation{Group: "g", Epoch: 1, Rank: 1, WorldSize: 3, Peers: []string{"127.0.0.1:1", peers[0], "127.0.0.1:2"}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := nodes[0].hub.Join(ctx, f)
	if !errors.Is(err, collective.ErrTimeout) || !strings.Contains(err.Error(), "rank 0 at 127.0.0.1:1: ") ||
		!strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "rank 2 at 127.0.0.1:2 has not called") {
		t.Error(err)
	}
	if _, err := nodes[0].hub.Join(t.Context(), f); !errors.Is(err, collective.ErrMismatch) {
		t.Errorf("an epoch that failed was joined again: %v", err)
	}
}

// TestEarlyDialer: a rank may dial before the other one has joined, or is up.
func TestEarlyDialer(t *testing.T) {
	noLeaks(t)
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := late.Addr().String()
	late.Close()
	early := newNode(t, HubOptions{})
	f := Formation{Group: "g", Epoch: 1, WorldSize: 2, Peers: []string{addr, early.addr}}
	joined := make(chan error, 1)
	go func() {
		mine := f
		mine.Rank = 1
		_, err := early.hub.Join(t.Context(), mine)
		joined <- err
	}()
	time.Sleep(150 * time.Millisecond)
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	hub, server := NewHub(HubOptions{Hold: 100 * time.Millisecond}), grpc.NewServer(ServerOptions()...)
	hub.Register(server)
	go server.Serve(lis)
	defer server.Stop()
	defer hub.Close()
	time.Sleep(250 * time.Millisecond) // longer than streams are held back
	if _, err := hub.Join(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
}

// TestEpochs: a newer epoch ends the older one on its hub, uses the same
// connections, and old epochs are refused afterwards.
func TestEpochs(t *testing.T) {
	noLeaks(t)
	nodes, peers := newNodes(t, 3)
	gather := func(comms []collective.Communicator) error {
		return errors.Join(colltest.Each(comms, func(r int, c collective.Communicator) error {
			_, err := c.AllGather(t.Context(), collective.Tag{}, []byte{byte(r)})
			return err
		})...)
	}
	first := joinAll(t, nodes, Formation{Group: "g", Epoch: 1, Peers: peers})
	if err := gather(first); err != nil {
		t.Fatal(err)
	}
	before := nodes[2].hub.conns.open[peers[0]]
	second := joinAll(t, nodes, Formation{Group: "g", Epoch: 2, Peers: peers})
	if err := gather(second); err != nil {
		t.Fatal(err)
	}
	if nodes[2].hub.conns.open[peers[0]] != before {
		t.Error("the connection was not used again")
	}
	for r, c := range first {
		if _, err := c.AllGather(t.Context(), collective.Tag{}, nil); !errors.Is(err, collective.ErrClosed) && !errors.Is(err, collective.ErrPeerLost) {
			t.Errorf("rank %d still works in epoch 1: %v", r, err)
		}
	}
	// Rank 2 has died; the others go on without it.
	nodes[2].kill()
	third := joinAll(t, nodes[:2], Formation{Group: "g", Epoch: 3, Peers: peers[:2]})
	if err := gather(third); err != nil {
		t.Fatal(err)
	}
	// A rank that missed all this tries the old epoch.
	ghost := newNode(t, HubOptions{})
	_, err := ghost.hub.Join(t.Context(), Formation{Group: "g", Epoch: 2, Rank: 2, WorldSize: 3, Peers: append(peers[:2:2], ghost.addr)})
	if !errors.Is(err, collective.ErrMismatch) || !strings.Contains(err.Error(), "epoch 2 is over: this worker has seen epoch 3") {
		t.Error(err)
	}
}

// TestStrangers: streams that speak something else, or nothing, are refused, and
// a hub that was closed takes none.
func TestStrangers(t *testing.T) {
	noLeaks(t)
	n := newNode(t, HubOptions{Hold: 50 * time.Millisecond})
	cc, err := grpc.NewClient("passthrough:///"+n.addr, append(DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	say := func(msg []byte) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			"/"+ServiceName+"/"+methodName, grpc.CallContentSubtype(codecName))
		if err != nil {
			return err
		}
		s.SendMsg(outBytes(msg))
		_, err = recvBytes(s)
		return err
	}
	fm := &formation{Formation: Formation{Group: "g", Epoch: 1, Rank: 1, WorldSize: 2}}
	good := newHello(fm, 0).encode()
	future := append([]byte(nil), good...)
	future[4] = 99
	for _, c := range []struct {
		msg  []byte
		code codes.Code
		want string
	}{
		{nil, codes.FailedPrecondition, "not a hello"},
		{[]byte("GET / HTTP/1.1"), codes.FailedPrecondition, "not a hello"},
		{good[:len(good)-1], codes.FailedPrecondition, "not a hello"},
		{make([]byte, 10000), codes.FailedPrecondition, "not a hello"},
		{future, codes.FailedPrecondition, "protocol version 99"},
		{good, codes.Unavailable, "has not joined group g epoch 1"},
	} {
		if err := say(c.msg); status.Code(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: %v, want %q", c.msg, err, c.want)
		}
	}
	n.hub.Close()
	if err := say(good); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if _, err := n.hub.Join(t.Context(), fm.Formation); err == nil {
		t.Error("a closed hub joined")
	}
}

// TestFormation: what a formation must say.
func TestFormation(t *testing.T) {
	h := NewHub(HubOptions{})
	defer h.Close()
	for _, f := range []Formation{
		{}, {Group: "g", WorldSize: 1}, {Group: "g", Epoch: 1}, {Group: "g", Epoch: 1, WorldSize: 2, Rank: 2},
		{Group: "g", Epoch: 1, WorldSize: 2}, {Group: strings.Repeat("g", 300), Epoch: 1, WorldSize: 1},
	} {
		if _, err := h.Join(t.Context(), f); err == nil {
			t.Errorf("%+v was joined", f)
		}
	}
	c, err := h.Join(t.Context(), Formation{Group: "g", Epoch: 1, WorldSize: 1})
	if err != nil || c.WorldSize() != 1 {
		t.Error(err)
	}
}

// TestSecondCall: a peer that gives its link up after this end took it in, and calls
// again, finds its place.
func TestSecondCall(t *testing.T) {
	for _, memory := range []bool{false, true} {
		t.Run(fmt.Sprintf("memory=%v", memory), func(t *testing.T) {
			noLeaks(t)
			nodes, peers := newNodesWith(t, 3, HubOptions{SharedMemory: memory})
			f := Formation{Group: "g", Epoch: 1, WorldSize: 3, Peers: peers}
			joined := make(chan error, 3)
			join := func(r int) {
				mine := f
				mine.Rank = r
				_, err := nodes[r].hub.Join(t.Context(), mine)
				joined <- err
			}
			go join(0)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			early := &formation{Formation: f, hub: nodes[1].hub, ctx: ctx}
			early.Rank = 1
			cc, _, err := early.hub.conns.get(peers[0])
			if err != nil {
				t.Fatal(err)
			}
			l, err := early.call(ctx, cc, 0)
			if err != nil {
				t.Fatal(err)
			}
			abandon(l, 1)
			go join(1)
			go join(2)
			for range 3 {
				select {
				case err := <-joined:
					if err != nil {
						t.Error(err)
					}
				case <-ctx.Done():
					t.Fatal("no group")
				}
			}
			for _, n := range nodes {
				n.stop()
			}
		})
	}
}

// TestMemoryOfOne: where one of two ranks wants streams they have streams.
func TestMemoryOfOne(t *testing.T) {
	noLeaks(t)
	for _, shares := range [][]bool{{true, false}, {false, true}} {
		var nodes []*node
		var peers []string
		for _, s := range shares {
			n := newNode(t, HubOptions{SharedMemory: s})
			nodes, peers = append(nodes, n), append(peers, n.addr)
		}
		comms := joinAll(t, nodes, Formation{Group: "g", Epoch: 1, Peers: peers})
		for r, err := range colltest.Each(comms, func(r int, c collective.Communicator) error {
			got, err := c.AllGather(t.Context(), collective.Tag{}, []byte{byte(r)})
			if err == nil && (got[1-r][0] != byte(1-r) || c.(*Member).Stats().Peers[1-r].Polled) {
				err = errors.New("it shares memory, or got something else")
			}
			return err
		}) {
			if err != nil {
				t.Errorf("%v: rank %d: %v", shares, r, err)
			}
		}
		for _, n := range nodes {
			n.stop()
		}
	}
}

// TestLeaveWhileForming: a newer epoch, or the hub's end, ends a Join in waiting.
func TestLeaveWhileForming(t *testing.T) {
	noLeaks(t)
	nodes, peers := newNodes(t, 3)
	f := Formation{Group: "g", Epoch: 1, Rank: 1, WorldSize: 3, Peers: peers}
	done := make(chan error, 2)
	join := func(n *node, f Formation) {
		_, err := n.hub.Join(t.Context(), f)
		done <- err
	}
	go join(nodes[1], f)
	f0 := f
	f0.Rank = 0
	go join(nodes[0], f0) // links with rank 1; both wait for rank 2
	time.Sleep(100 * time.Millisecond)
	go join(nodes[1], Formation{Group: "g", Epoch: 2, WorldSize: 1})
	for range 2 { // epoch 2 stands, epoch 1 is over on rank 1
		if err := <-done; err != nil && !errors.Is(err, collective.ErrClosed) {
			t.Error(err)
		}
	}
	nodes[0].hub.Close()
	if err := <-done; !errors.Is(err, collective.ErrClosed) {
		t.Error(err)
	}
}
