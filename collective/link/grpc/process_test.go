package grpclink

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	shmlink "github.com/sullae/sullae/collective/link/shm"
)

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
				var sent time.Time
				time.AfterFunc(100*time.Millisecond, func() { sent = time.Now(); child.Signal(c.signal) })
				s, dst := benchSum(2, 0, size)
				var err error
				for i := uint64(0); err == nil; i++ {
					err = comm.AllReduce(t.Context(), collective.Tag{Step: i}, s, dst)
				}
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "rank 1") {
					t.Error(err)
				}
				if took := time.Since(sent); took > timeout+2*time.Second {
					t.Errorf("noticed after %v", took)
				}
			})
		}
	}
}
