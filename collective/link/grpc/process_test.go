package grpclink

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	shmlink "github.com/sullae/sullae/collective/link/shm"
)

var wakes = flag.Int("wakes", 100, "how many collectives TestWakes does")

// TestPeerProcess: a process that is killed, or stands still, while it exchanges
// frames through memory ends the epoch as it would over a stream.
func TestPeerProcess(t *testing.T) {
	if !shmlink.Supported {
		t.Skip("no shared memory here")
	}
	const timeout = 600 * time.Millisecond
	for _, c := range []struct {
		name   string
		signal os.Signal
		want   error
	}{
		{"killed", syscall.SIGKILL, collective.ErrPeerLost},
		{"stopped", syscall.SIGSTOP, collective.ErrTimeout},
	} {
		for _, size := range []int{16 << 10, 8 << 20} { // with pauses in the ring, and through it
			t.Run(c.name, func(t *testing.T) {
				comm, _, child := twoProcesses(t, collective.Tuning{Timeout: timeout}, true)
				if !comm.(*Member).Stats().Peers[1].Polled {
					t.Fatal("the link does not go through memory")
				}
				order(t, comm, size, 1<<40)
				const after = 100 * time.Millisecond
				begun := time.Now()
				time.AfterFunc(after, func() { child.Signal(c.signal) })
				s, dst := benchSum(2, 0, size)
				var err error
				for i := uint64(0); err == nil; i++ {
					err = comm.AllReduce(t.Context(), collective.Tag{Step: i}, s, dst)
				}
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "rank 1") {
					t.Error(err)
				}
				if took := time.Since(begun); took > after+timeout+3*time.Second {
					t.Errorf("noticed after %v", took)
				}
			})
		}
	}
}

// TestWakes: a rank that has just gone to sleep, or is about to, hears of the frame
// that comes then. This one is up to twice as late as the other one spins, a few times.
func TestWakes(t *testing.T) {
	if !shmlink.Supported {
		t.Skip("no shared memory here")
	}
	comm, _, _ := twoProcesses(t, collective.Tuning{Timeout: 10 * time.Second}, true)
	order(t, comm, 8<<10, *wakes)
	s, dst := benchSum(2, 0, 8<<10)
	rng := rand.New(rand.NewPCG(1, 1))
	for step := range uint64(*wakes) {
		for late := time.Now().Add(time.Duration(rng.Int64N(int64(2 * spin)))); time.Now().Before(late); {
		}
		if err := comm.AllReduce(t.Context(), collective.Tag{Step: step}, s, dst); err != nil {
			t.Fatal(err)
		}
	}
	order(t, comm, 0, 0)
}
