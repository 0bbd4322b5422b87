package grpclink

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/colltest"
)

// wire is a TCP connection's way through a host that may fall silent: it passes
// bytes on, except while it is held.
type wire struct {
	lis  net.Listener
	hold sync.RWMutex // locked: nothing moves
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{lis: lis}
	w.wg.Go(func() {
		for {
			a, err := lis.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, a, b)
			w.mu.Unlock()
			w.wg.Go(func() { w.pass(a, b) })
			w.wg.Go(func() { w.pass(b, a) })
		}
	})
	return w
}

func (w *wire) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	io.Copy(to, struct{ io.Reader }{readFunc(func(b []byte) (int, error) {
		n, err := from.Read(b)
		w.hold.RLock()
		w.hold.RUnlock()
		return n, err
	})})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

func (w *wire) close() {
	w.lis.Close()
	w.mu.Lock()
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// stalled is a group of two whose only link passes through a wire.
func stalled(t *testing.T, timeout time.Duration) ([]collective.Communicator, *wire) {
	nodes, peers := newNodes(t, 2)
	w := newWire(t, peers[0])
	t.Cleanup(w.close)
	peers[0] = w.lis.Addr().String()
	return joinAll(t, nodes, Formation{Group: "g", Epoch: 1, Peers: peers, Tuning: collective.Tuning{Timeout: timeout}}), w
}

// TestSilentWire: a peer that neither answers nor hangs up is an error after the
// deadline, in a wait for its frames as in a send that it does not take.
func TestSilentWire(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int
		want  string
	}{
		{"small", 4, "nothing from rank "},
		{"large", 24 << 20, "takes no frames"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			comms, w := stalled(t, 400*time.Millisecond)
			w.hold.Lock()
			defer w.hold.Unlock()
			start := time.Now()
			errs := colltest.Each(comms, func(r int, comm collective.Communicator) error {
				_, err := comm.AllGather(t.Context(), collective.Tag{Step: 4}, make([]byte, c.bytes))
				return err
			})
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
			for r, err := range errs {
				if !errors.Is(err, collective.ErrTimeout) && !errors.Is(err, collective.ErrPeerLost) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
			if all := errors.Join(errs...).Error(); !strings.Contains(all, c.want) {
				t.Errorf("%s does not say %q", all, c.want)
			}
		})
	}
}

// TestShortSilence: a link that is silent for less than the deadline costs nothing
// but time.
func TestShortSilence(t *testing.T) {
	noLeaks(t)
	comms, w := stalled(t, 20*time.Second)
	var free sync.Once
	for step := range uint64(20) {
		if step == 10 {
			w.hold.Lock()
			time.AfterFunc(300*time.Millisecond, func() { free.Do(w.hold.Unlock) })
		}
		for _, err := range colltest.Each(comms, func(r int, c collective.Communicator) error {
			_, err := c.AllGather(t.Context(), collective.Tag{Step: step}, make([]byte, 100_000))
			return err
		}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
