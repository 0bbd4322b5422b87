package colltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
)

// testDisagreement has the last rank differ from the others in one thing: all
// ranks fail, and those that see the difference name it.
func testDisagreement(t *testing.T, newCluster NewCluster) {
	base := collective.Tag{Step: 9, Layer: 4, Op: collective.OpMLP, Check: 0xabc}
	for _, c := range []struct {
		what   string
		change func(tag *collective.Tag, sum **Sum)
	}{
		{"step", func(tag *collective.Tag, _ **Sum) { tag.Step++ }},
		{"layer", func(tag *collective.Tag, _ **Sum) { tag.Layer-- }},
		{"op", func(tag *collective.Tag, _ **Sum) { tag.Op = collective.OpAttn }},
		{"check", func(tag *collective.Tag, _ **Sum) { tag.Check = 1 }},
		{"size", func(_ *collective.Tag, s **Sum) { *s = NewSum(rand.New(rand.NewPCG(1, 1)), 8, 101, (*s).Shares) }},
		{"layout", func(_ *collective.Tag, s **Sum) {
			*s = NewSum(rand.New(rand.NewPCG(1, 1)), 9, 100, EvenShares(9, len((*s).Shares)))
		}},
	} {
		for _, table := range []allreduce.Table{allreduce.OneHop, allreduce.TwoHops} {
			const n = 3
			cl := newCluster(t, n, collective.Tuning{Timeout: 5 * time.Second, Table: table})
			agreed := NewSum(rand.New(rand.NewPCG(1, 1)), 8, 100, EvenShares(8, n))
			errs := Each(cl.Ranks, func(r int, cm collective.Communicator) error {
				tag, sum := base, agreed
				if r == n-1 {
					c.change(&tag, &sum)
				}
				dst := make([]float32, len(sum.Want))
				return cm.AllReduce(ctx, tag, sum.Summands(r), dst)
			})
			named := false
			for r, err := range errs {
				if !errors.Is(err, collective.ErrMismatch) && !errors.Is(err, collective.ErrPeerLost) {
					t.Fatalf("%s: rank %d: %v", c.what, r, err)
				}
				named = named || errors.Is(err, collective.ErrMismatch) && strings.Contains(err.Error(), "disagree on the "+c.what)
			}
			if !named {
				t.Fatalf("no rank names the %s: %v", c.what, errs)
			}
			closeAll(cl)
		}
	}
}

// testArgument: a rank that cannot take part does not let the others wait.
func testArgument(t *testing.T, newCluster NewCluster) {
	c := newCluster(t, 2, collective.Tuning{Timeout: 5 * time.Second})
	defer closeAll(c)
	sum := NewSum(rand.New(rand.NewPCG(1, 1)), 8, 10, EvenShares(8, 2))
	errs := Each(c.Ranks, func(r int, c collective.Communicator) error {
		s := sum.Summands(r)
		if r == 1 {
			s.Parts = append(s.Parts, s.Parts[0])
		}
		return c.AllReduce(ctx, collective.Tag{}, s, make([]float32, 10))
	})
	if !errors.Is(errs[0], collective.ErrPeerLost) || errs[1] == nil {
		t.Fatal(errs)
	}
}

// testKill kills a rank while collectives run back to back: all others fail
// within a short time, and at once from then on.
func testKill(t *testing.T, newCluster NewCluster) {
	for _, n := range []int{2, 4} {
		c := newCluster(t, n, collective.Tuning{Timeout: 5 * time.Second})
		sum := NewSum(rand.New(rand.NewPCG(1, 1)), 16, 3000, EvenShares(16, n))
		time.AfterFunc(50*time.Millisecond, func() { c.Kill(1) })
		start := time.Now()
		errs := Each(c.Ranks, func(r int, c collective.Communicator) error {
			dst := make([]float32, 3000)
			for step := uint64(0); ; step++ {
				if err := c.AllReduce(ctx, collective.Tag{Step: step}, sum.Summands(r), dst); err != nil {
					return err
				}
				if err := sum.Check(dst); err != nil {
					return err
				}
			}
		})
		if d := time.Since(start); d > 3*time.Second {
			t.Fatalf("the survivors took %v to fail", d)
		}
		again := Each(c.Ranks, func(r int, c collective.Communicator) error {
			_, err := c.AllGather(ctx, collective.Tag{}, nil)
			return err
		})
		for r := range errs {
			if !errors.Is(errs[r], collective.ErrPeerLost) || !errors.Is(again[r], collective.ErrPeerLost) {
				t.Fatalf("rank %d: %v, then %v", r, errs[r], again[r])
			}
		}
		closeAll(c)
	}
}

// testSilence: a rank that never comes is named when the deadline passes.
func testSilence(t *testing.T, newCluster NewCluster) {
	c := newCluster(t, 3, collective.Tuning{Timeout: 200 * time.Millisecond})
	defer closeAll(c)
	sum := NewSum(rand.New(rand.NewPCG(1, 1)), 8, 10, EvenShares(8, 3))
	errs := Each(c.Ranks[:2], func(r int, c collective.Communicator) error {
		return c.AllReduce(ctx, collective.Tag{Step: 77, Op: collective.OpAttn}, sum.Summands(r), make([]float32, 10))
	})
	timeouts := 0
	for r, err := range errs {
		if errors.Is(err, collective.ErrTimeout) {
			timeouts++
			if !strings.Contains(err.Error(), "nothing from rank 2") || !strings.Contains(err.Error(), "step 77") {
				t.Errorf("rank %d: %v does not name rank 2 and step 77", r, err)
			}
		} else if !errors.Is(err, collective.ErrPeerLost) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	if timeouts == 0 {
		t.Error(errs)
	}
}

func testCancel(t *testing.T, newCluster NewCluster) {
	c := newCluster(t, 2, collective.Tuning{})
	defer closeAll(c)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Ranks[0].AllGather(short, collective.Tag{}, nil); !errors.Is(err, collective.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// What rank 0 had sent may do for rank 1 once, but not twice.
	_, err := c.Ranks[1].AllGather(ctx, collective.Tag{}, nil)
	if err == nil {
		_, err = c.Ranks[1].AllGather(ctx, collective.Tag{}, nil)
	}
	if !errors.Is(err, collective.ErrPeerLost) {
		t.Error(err)
	}
}

// testClose: Close ends a wait of its own rank and of its peers.
func testClose(t *testing.T, newCluster NewCluster) {
	c := newCluster(t, 3, collective.Tuning{})
	time.AfterFunc(50*time.Millisecond, func() { c.Ranks[0].Close() })
	errs := Each(c.Ranks[:2], func(r int, c collective.Communicator) error {
		_, err := c.AllGather(ctx, collective.Tag{}, nil)
		return err
	})
	if !errors.Is(errs[0], collective.ErrClosed) || !errors.Is(errs[1], collective.ErrPeerLost) {
		t.Error(errs)
	}
	closeAll(c)
	closeAll(c)
	if _, err := c.Ranks[0].AllGather(ctx, collective.Tag{}, nil); !errors.Is(err, collective.ErrClosed) {
		t.Error(err)
	}
}
