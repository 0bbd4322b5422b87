package grpclink

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/colltest"
	"github.com/sullae/sullae/collective/link"
)

var faultRuns = flag.Int("faults", 40, "how many seeds TestFaults tries")

// faults harms frames of data on their way out of any rank, as a seed says.
type faults struct {
	mu    sync.Mutex
	rng   *rand.Rand
	rate  float64
	sent  [][]byte // by anybody, in this epoch
	stale [][]byte // in the one before
	held  map[stream][]byte
	kinds []string
}

// harmful is one end of a stream whose frames come to harm.
type harmful struct {
	stream
	f *faults
}

func (h harmful) SendMsg(m any) error { return h.f.send(h.stream, m) }

type (
	harmfulClient struct {
		grpc.ClientStream
		harmful
	}
	harmfulServer struct {
		grpc.ServerStream
		harmful
	}
)

func (h harmfulClient) SendMsg(m any) error { return h.harmful.SendMsg(m) }
func (h harmfulClient) RecvMsg(m any) error { return h.ClientStream.RecvMsg(m) }
func (h harmfulServer) SendMsg(m any) error { return h.harmful.SendMsg(m) }
func (h harmfulServer) RecvMsg(m any) error { return h.ServerStream.RecvMsg(m) }

func (f *faults) client(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, cc, method, opts...)
	return harmfulClient{s, harmful{s, f}}, err
}

func (f *faults) server(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, harmfulServer{s, harmful{s, f}})
}

// send lets handshakes, goodbyes and most frames through. Whoever sends over a
// stream holds its link's lock.
func (f *faults) send(s stream, m any) error {
	out := m.(*outbound)
	raw := out.bufs.Materialize()
	if len(raw) < link.HeaderBytes || string(raw[:4]) != "SULC" || link.Kind(raw[5]) != link.KindData {
		return s.SendMsg(m)
	}
	f.mu.Lock()
	f.sent = append(f.sent, raw)
	harmless := f.rng.Float64() >= f.rate
	kind := []string{"drop", "delay", "repeat", "flip", "cut", "stale", "swap", "reorder"}[f.rng.IntN(8)]
	pick := f.rng.Uint32()
	stale := f.stale
	before := f.sent[int(pick)%len(f.sent)]
	held := f.held[s]
	delete(f.held, s)
	if !harmless {
		f.kinds = append(f.kinds, kind)
		if kind == "reorder" && held == nil {
			f.held[s] = raw // it goes after the next one
		}
	}
	f.mu.Unlock()
	if harmless {
		if err := s.SendMsg(m); err != nil || held == nil {
			return err
		}
		return s.SendMsg(outBytes(held))
	}
	for _, b := range out.bufs[1:] {
		b.Free() // gRPC would, once it has written it
	}
	switch kind {
	case "drop":
		return nil
	case "delay": // and all that follows on this stream
		time.Sleep(time.Duration(pick%300) * time.Millisecond)
	case "repeat":
		if err := s.SendMsg(outBytes(raw)); err != nil {
			return err
		}
		raw = append([]byte(nil), raw...)
	case "flip":
		raw = append([]byte(nil), raw...)
		raw[int(pick>>3)%len(raw)] ^= 1 << (pick & 7)
	case "cut":
		raw = raw[:int(pick)%len(raw)]
	case "stale":
		if len(stale) > 0 {
			raw = stale[int(pick)%len(stale)]
		}
	case "swap":
		raw = before
	case "reorder":
		if held == nil {
			return nil
		}
	}
	return s.SendMsg(outBytes(raw))
}

// TestFaults runs short epochs over gRPC links that lose, delay, repeat, reorder,
// damage and mix up frames, and bring back those of the epoch before. Each
// collective ends with the right answer or an error, soon after the deadline at the
// latest.
func TestFaults(t *testing.T) {
	const deadline = 400 * time.Millisecond
	noLeaks(t)
	failed := 0
	for seed := range uint64(*faultRuns) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := 2 + rng.IntN(2)
		f := &faults{rng: rand.New(rand.NewPCG(seed, 8)), held: map[stream][]byte{}}
		var nodes []*node
		var peers []string
		for range n {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			nd := &node{hub: NewHub(HubOptions{Dial: []grpc.DialOption{grpc.WithChainStreamInterceptor(f.client)}}),
				server: grpc.NewServer(append(ServerOptions(), grpc.ChainStreamInterceptor(f.server))...), addr: lis.Addr().String()}
			nd.hub.Register(nd.server)
			go nd.server.Serve(lis)
			nodes, peers = append(nodes, nd), append(peers, nd.addr)
		}
		tuning := collective.Tuning{Timeout: deadline, ChunkBytes: 128, Table: allreduce.OneHop}
		if rng.IntN(2) == 0 {
			tuning.Table = allreduce.TwoHops
		}
		for e := range uint64(2) {
			if e == 1 {
				f.mu.Lock()
				f.stale, f.sent, f.rate = f.sent, nil, 0.05
				f.mu.Unlock()
			}
			var sums []*colltest.Sum
			for range 6 {
				leaves := 1 + rng.IntN(6)
				sums = append(sums, colltest.NewSum(rng, leaves, rng.IntN(200), colltest.Shares(rng, leaves, n)))
			}
			comms := joinAll(t, nodes, Formation{Group: "g", Epoch: 1 + e, Peers: peers, Token: []byte{byte(e)}, Tuning: tuning})
			began := time.Now()
			errs := colltest.Each(comms, func(r int, c collective.Communicator) error {
				defer c.Close()
				for step, sum := range sums {
					dst := make([]float32, len(sum.Want))
					// Equal tags in both epochs: the epoch alone tells their frames apart.
					if err := c.AllReduce(t.Context(), collective.Tag{Step: uint64(step), Op: collective.OpMLP}, sum.Summands(r), dst); err != nil {
						return err
					}
					if err := sum.Check(dst); err != nil {
						t.Errorf("seed %d epoch %d rank %d: wrong sum after %v: %v", seed, 1+e, r, f.kinds, err)
					}
				}
				return nil
			})
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("seed %d: the epoch took %v after %v", seed, took, f.kinds)
			}
			ended := false
			for r, err := range errs {
				ended = ended || err != nil
				if err != nil && (e == 0 || !errors.Is(err, collective.ErrPeerLost) && !errors.Is(err, collective.ErrTimeout) && !errors.Is(err, collective.ErrMismatch)) {
					t.Errorf("seed %d epoch %d rank %d: %v after %v", seed, 1+e, r, err, f.kinds)
				}
			}
			if ended {
				failed++
			}
		}
		for _, nd := range nodes {
			nd.stop()
		}
	}
	t.Logf("%d of %d epochs ended by an error", failed, *faultRuns)
	if failed < *faultRuns/4 || failed == *faultRuns {
		t.Error("the faults are too many or too few to tell anything")
	}
}
