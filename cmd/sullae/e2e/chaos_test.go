package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Flags of the chaos run; `make chaos` makes it long.
var (
	chaosTime = flag.Duration("chaos", 12*time.Second, "how long TestChaos disturbs the cluster")
	chaosSeed = flag.Uint64("chaos-seed", 1, "what TestChaos does, and when")
)

// TestChaos kills, stops and drains workers at random moments of a seed while
// requests run, and compares every answer with the undisturbed run: none may
// fail, none may differ.
func TestChaos(t *testing.T) {
	long(t)
	p := up(t, "--workers", "3", "--threads", "1")
	const kinds = 6
	var want [kinds]completion
	for i := range want {
		c, err := p.stream(i + 1)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = c
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var answers atomic.Int64
	var longest atomic.Int64
	for i := range kinds {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				c, err := p.stream(i + 1)
				switch {
				case err != nil:
					t.Errorf("stream %d: %v", i, err)
				case !reflect.DeepEqual(c.Choices, want[i].Choices):
					t.Errorf("stream %d: other tokens or bits than undisturbed", i)
				}
				answers.Add(1)
				longest.Store(max(longest.Load(), int64(time.Since(began))))
			}
		})
	}
	rng := rand.New(rand.NewPCG(*chaosSeed, 0))
	counts := map[string]int{}
	for end := time.Now().Add(*chaosTime); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond)
		s, err := p.status()
		if err != nil || len(s.Workers) == 0 {
			t.Errorf("status: %v", err)
			break
		}
		w := s.Workers[rng.IntN(len(s.Workers))]
		if w.PID == 0 {
			continue
		}
		switch rng.IntN(3) {
		case 0:
			counts["kill"]++
			syscall.Kill(w.PID, syscall.SIGKILL)
		case 1:
			counts["stop"]++
			syscall.Kill(w.PID, syscall.SIGSTOP)
			time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
			syscall.Kill(w.PID, syscall.SIGCONT)
		case 2:
			counts["end"]++
			syscall.Kill(w.PID, syscall.SIGTERM)
		}
	}
	close(stop)
	wg.Wait()
	s, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	if s.Group.KVBlocksFree != s.Group.KVBlocksTotal || s.Group.Running+s.Group.Waiting != 0 {
		t.Errorf("left behind: %+v", s.Group)
	}
	t.Log(fmt.Sprintf("seed %d: %v, %d epochs, %d answers, the longest %.1f s", *chaosSeed, counts, s.Group.Epoch, answers.Load(), time.Duration(longest.Load()).Seconds()))
}
