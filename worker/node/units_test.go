package node

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/remote"
)

// counting counts what is read of a checkpoint.
type counting struct {
	checkpoint.Source
	bytes atomic.Int64
}

func (c *counting) ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error {
	c.bytes.Add(int64(len(dst)))
	return c.Source.ReadRegion(ctx, dst, name, row, rows, col, cols)
}

// fault is what becomes of the messages of a worker that serves units.
type fault func(n int64, m *clusterv1.FetchUnitResponse) error

// faulty is a stream with a fault.
type faulty struct {
	grpc.ServerStream
	sent  *atomic.Int64 // messages, over all streams
	fault fault
}

func (s faulty) SendMsg(m any) error {
	if r, ok := m.(*clusterv1.FetchUnitResponse); ok {
		r.Data = bytes.Clone(r.Data)
		if err := s.fault(s.sent.Add(1), r); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(m)
}

// serveUnits serves a worker's units over TCP.
func serveUnits(t *testing.T, u *units, f fault) *remote.Peer {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		if f != nil {
			s = faulty{s, &sent, f}
		}
		return h(srv, s)
	}))
	clusterv1.RegisterWeightServiceServer(server, u)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &remote.Peer{Name: lis.Addr().String(), Client: clusterv1.NewWeightServiceClient(conn)}
}

// TestUnitsFromPeers: a share made of what peers hold has the bytes of one that was
// read, and reads only norms from the checkpoint; where a peer is cut, lies or
// packs otherwise, another one or the checkpoint is read.
func TestUnitsFromPeers(t *testing.T) {
	defer func(n int) { unitChunk = n }(unitChunk)
	unitChunk = 700
	ckpt := modeltest.Open(t, modeltest.Dir(t, "exaone35-12h3kv-f32-tied"))
	spec := ckpt.Spec()
	b, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	load := func(caps []float64, rank int, src checkpoint.Source, f kernels.Format, p engine.Peers) *engine.Model {
		pl, err := plan.Make(plan.UnitsOf(spec), caps)
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: spec, Plan: pl, Rank: rank, Source: src, Format: f, CheckpointID: ckpt.ID(), Peers: p})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Free)
		return m
	}
	norms := int64(0)
	for _, w := range spec.Weights() {
		if info, _ := ckpt.Info(w.Ref.Name); w.Ref.Cols == 0 {
			norms += int64(w.Ref.Rows * info.DType.Size())
		}
	}
	cut := func(n int64, _ *clusterv1.FetchUnitResponse) error {
		if n > 4 {
			return io.ErrClosedPipe
		}
		return nil
	}
	corrupt := func(n int64, m *clusterv1.FetchUnitResponse) error {
		if n == 4 {
			m.Data[len(m.Data)/2] ^= 4
		}
		return nil
	}
	liar := func(n int64, m *clusterv1.FetchUnitResponse) error { // its checksums of what travels are right
		if n == 4 {
			m.Data[len(m.Data)/2] ^= 4
			m.Crc32C = crc32.Checksum(m.Data, castagnoli)
		}
		return nil
	}
	for _, c := range []struct {
		name   string
		faults []fault // of two peers that hold all
		format kernels.Format
		theirs kernels.Format
		whole  bool // nothing but norms is read
	}{
		{name: "whole", faults: []fault{nil, nil}, whole: true},
		{name: "q8", faults: []fault{nil, nil}, format: kernels.Q8, theirs: kernels.Q8, whole: true},
		{name: "one is cut", faults: []fault{cut, nil}, whole: true},
		{name: "both are cut", faults: []fault{cut, cut}},
		{name: "one corrupts", faults: []fault{corrupt, nil}, whole: true},
		{name: "one lies", faults: []fault{nil, liar}, whole: true},
		{name: "both lie", faults: []fault{liar, liar}},
		{name: "packed otherwise", faults: []fault{nil, nil}, format: kernels.Q8},
	} {
		t.Run(c.name, func(t *testing.T) {
			var peers []*remote.Peer
			for _, f := range c.faults {
				u := &units{backend: b}
				u.hold(ckpt.ID(), load([]float64{1}, 0, ckpt, c.theirs, nil))
				peers = append(peers, serveUnits(t, u, f))
			}
			found := remote.FindPeers(t.Context(), peers, ckpt.ID(), b.Layout(), c.format.String(), slog.New(slog.DiscardHandler))
			src := &counting{Source: ckpt}
			got, want := load([]float64{1, 2, 1}, 1, src, c.format, found), load([]float64{1, 2, 1}, 1, ckpt, c.format, nil)
			n := 0
			for kind, r := range want.Holds() {
				for layer := range spec.Layers {
					for i := r.Lo; i < r.Hi; i++ {
						k := packcache.Key{Checkpoint: ckpt.ID(), Layout: b.Layout(), Format: c.format.String(), Layer: layer, Kind: kind, Index: i}
						a, err := got.Unit(b, k)
						w, err2 := want.Unit(b, k)
						if err != nil || err2 != nil || !bytes.Equal(a, w) {
							t.Fatalf("unit %+v differs from what was read (%v, %v)", k, err, err2)
						}
						if a != nil {
							n++
						}
					}
				}
			}
			if n == 0 {
				t.Error("not one unit was compared")
			}
			if read := src.bytes.Load(); c.whole != (read == norms) || c.whole != (got.BytesFromPeers() > want.Bytes()/2) && c.name != "both are cut" && c.name != "both lie" {
				t.Errorf("read %d bytes (norms are %d), %d came from peers of %d", read, norms, got.BytesFromPeers(), want.Bytes())
			}
		})
	}
}

// TestTiedReadOnce: where embedding and head are one tensor its rows are read once.
func TestTiedReadOnce(t *testing.T) {
	ckpt := modeltest.Open(t, modeltest.Dir(t, "exaone35-12h3kv-f32-tied"))
	spec := ckpt.Spec()
	b, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := plan.Make(plan.UnitsOf(spec), []float64{1})
	if err != nil {
		t.Fatal(err)
	}
	src := &counting{Source: ckpt}
	m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	all, seen := int64(0), map[string]bool{}
	for _, w := range spec.Weights() {
		info, err := ckpt.Info(w.Ref.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[w.Ref.Name] {
			all += int64(w.Ref.Rows) * int64(max(w.Ref.Cols, 1)) * int64(info.DType.Size())
		}
		seen[w.Ref.Name] = true
	}
	if n := src.bytes.Load(); n != all {
		t.Errorf("read %d bytes of a checkpoint of %d", n, all)
	}
}
