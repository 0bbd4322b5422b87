package colltest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
)

// Cluster is a group under test.
type Cluster struct {
	Ranks []collective.Communicator
	Kill  func(rank int) // breaks all links of rank, as the end of its process would
}

// NewCluster makes a group of n ranks; it ends with the test at the latest.
type NewCluster func(t *testing.T, n int, tuning collective.Tuning) Cluster

// RunAll runs the suite on the communicators that newCluster makes.
func RunAll(t *testing.T, newCluster NewCluster) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, newCluster NewCluster)
	}{
		{"Sums", testSums},
		{"Gathers", testGathers},
		{"Disagreement", testDisagreement},
		{"Argument", testArgument},
		{"Kill", testKill},
		{"Silence", testSilence},
		{"Cancel", testCancel},
		{"Close", testClose},
		{"CloseAfterLast", testCloseAfterLast},
		{"Stats", testStats},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
			c.run(t, newCluster)
		})
	}
}

var ctx = context.Background()

func noErrors(t *testing.T, errs []error) {
	t.Helper()
	for r, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
}

func closeAll(c Cluster) {
	Each(c.Ranks, func(_ int, c collective.Communicator) error { return c.Close() })
}

// testSums compares sums with the reference: every world size, even, uneven and
// empty shares, one hop and two, lengths around every border.
func testSums(t *testing.T, newCluster NewCluster) {
	for n := 1; n <= 8; n++ {
		for name, table := range map[string]allreduce.Table{"one": allreduce.OneHop, "two": allreduce.TwoHops} {
			t.Run(fmt.Sprintf("%d/%s", n, name), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(n), 1))
				c := newCluster(t, n, collective.Tuning{Table: table, ChunkBytes: 2 << 10})
				defer closeAll(c)
				for step, size := range []int{0, 1, 3, 17, 1000, 1024, 3001} {
					leaves := 1 + rng.IntN(24)
					shares := EvenShares(leaves, n)
					if step%2 == 1 {
						shares = Shares(rng, leaves, n)
					}
					sum := NewSum(rng, leaves, size, shares)
					tag := collective.Tag{Step: uint64(step), Op: collective.OpAttn, Check: 7}
					noErrors(t, Each(c.Ranks, func(r int, c collective.Communicator) error {
						dst := make([]float32, size)
						s := sum.Summands(r)
						if step%3 == 2 && len(s.Parts) > 0 {
							dst = s.Parts[len(s.Parts)-1] // in place
						}
						if err := c.AllReduce(ctx, tag, s, dst); err != nil {
							return err
						}
						return sum.Check(dst)
					}))
				}
			})
		}
	}
}

func testGathers(t *testing.T, newCluster NewCluster) {
	for _, n := range []int{1, 2, 3, 5} {
		c := newCluster(t, n, collective.Tuning{ChunkBytes: 1 << 10})
		rng := rand.New(rand.NewPCG(uint64(n), 2))
		for step := range 12 {
			data := make([][]byte, n)
			for r := range data {
				data[r] = make([]byte, []int{0, 1, 12, 1024, 1025, 5000}[rng.IntN(6)])
				for i := range data[r] {
					data[r][i] = byte(rng.Uint32())
				}
			}
			tag := collective.Tag{Step: uint64(step), Op: collective.OpSample}
			noErrors(t, Each(c.Ranks, func(r int, c collective.Communicator) error {
				got, err := c.AllGather(ctx, tag, data[r])
				if err != nil {
					return err
				}
				for p := range data {
					if !bytes.Equal(got[p], data[p]) {
						return fmt.Errorf("rank %d's data differs", p)
					}
				}
				return nil
			}))
		}
		closeAll(c)
	}
}

// testCloseAfterLast: the first rank that is done with the last collective may
// close at once, and the others still finish theirs.
func testCloseAfterLast(t *testing.T, newCluster NewCluster) {
	for _, table := range []allreduce.Table{allreduce.OneHop, allreduce.TwoHops} {
		for round := range 5 {
			const n = 4
			c := newCluster(t, n, collective.Tuning{Table: table, ChunkBytes: 8 << 10})
			sum := NewSum(rand.New(rand.NewPCG(uint64(round), 1)), 8, 30000, EvenShares(8, n))
			noErrors(t, Each(c.Ranks, func(r int, c collective.Communicator) error {
				defer c.Close()
				dst := make([]float32, len(sum.Want))
				if err := c.AllReduce(ctx, collective.Tag{}, sum.Summands(r), dst); err != nil {
					return err
				}
				return sum.Check(dst)
			}))
		}
	}
}

func testStats(t *testing.T, newCluster NewCluster) {
	c := newCluster(t, 2, collective.Tuning{Table: allreduce.OneHop})
	defer closeAll(c)
	sum := NewSum(rand.New(rand.NewPCG(1, 1)), 2, 1000, EvenShares(2, 2))
	noErrors(t, Each(c.Ranks, func(r int, c collective.Communicator) error {
		time.Sleep(time.Duration(r) * 30 * time.Millisecond)
		return c.AllReduce(ctx, collective.Tag{}, sum.Summands(r), make([]float32, 1000))
	}))
	m, ok := c.Ranks[0].(collective.Measured)
	if !ok {
		t.Skip("keeps no statistics")
	}
	s := m.Stats()
	p := s.Peers[1]
	if s.AllReduces != 1 || p.BytesSent != 4000 || p.BytesReceived != 4000 || p.WaitSeconds < 0.02 || s.Seconds < p.WaitSeconds {
		t.Errorf("%+v", s)
	}
}
