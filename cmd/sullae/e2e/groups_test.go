package e2e

import (
	"fmt"
	"os/exec"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/status"
)

// TestGroups: two groups serve side by side and share the load. When one loses its
// only worker in the middle of answers, they go on in the other, with the same
// bits, and it comes back. A worker can be drained away likewise.
func TestGroups(t *testing.T) {
	p := up(t, "--groups", "2")
	serving := func() (s status.Cluster, ok bool) {
		s, err := p.status()
		return s, err == nil && len(s.Groups) == 2 && s.Groups[0].Phase == "serving" && s.Groups[1].Phase == "serving"
	}
	both := func() bool { _, ok := serving(); return ok }
	eventually(t, 20*time.Second, "both groups serve", both)

	ask := func(i int) (completion, error) {
		return p.complete(map[string]any{"model": p.model, "prompt": fmt.Sprintf("이야기 %d: 옛날 옛적에", i), "max_tokens": 200,
			"temperature": 1, "seed": i, "ignore_eos": true, "logprobs": 3, "n": 2})
	}
	const requests = 8
	var want [requests]completion
	for i := range want {
		var err error
		if want[i], err = ask(i); err != nil {
			t.Fatal(err)
		}
	}
	together := func(during func()) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() {
				got, err := ask(i)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				} else if !reflect.DeepEqual(got.Choices, want[i].Choices) {
					t.Errorf("request %d: other bits than alone", i)
				}
			})
		}
		during()
		wg.Wait()
	}
	before, _ := serving()
	together(func() {
		eventually(t, 10*time.Second, "both groups have work", func() bool {
			s, err := p.status()
			return err == nil && s.Groups[0].Running > 0 && s.Groups[1].Running > 0
		})
		for _, w := range before.Workers {
			if w.Group == "1" {
				syscall.Kill(w.PID, syscall.SIGKILL)
			}
		}
	})
	eventually(t, 20*time.Second, "the lost group is back", both)
	after, _ := serving()
	if g, h := before.Groups[1], after.Groups[1]; h.Epoch <= g.Epoch || after.Groups[0].Epoch != before.Groups[0].Epoch {
		t.Errorf("epochs %d and %d, before %d and %d: want a new one of group 1 alone", after.Groups[0].Epoch, h.Epoch, before.Groups[0].Epoch, g.Epoch)
	}
	together(func() {
		for _, w := range after.Workers {
			if w.Group == "0" {
				if out, err := exec.Command(sullae, "drain", w.ID, "--http", p.http).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		}
		eventually(t, 10*time.Second, "group 0 has let its worker go", func() bool {
			s, err := p.status()
			return err == nil && s.Groups[0].Phase == "waiting" && s.Groups[1].Phase == "serving"
		})
	})
}

// TestGroupsShareTheQueue: a group that comes back takes over half of what waits in
// the other, with the same bits.
func TestGroupsShareTheQueue(t *testing.T) {
	long(t)
	p := up(t, "--groups", "2", "--max-seqs", "2")
	var lone string
	eventually(t, 20*time.Second, "both groups serve", func() bool {
		s, err := p.status()
		if err != nil || len(s.Groups) != 2 || s.Groups[0].Phase != "serving" || s.Groups[1].Phase != "serving" {
			return false
		}
		for _, w := range s.Workers {
			if w.Group == "1" {
				lone = w.ID
			}
		}
		return true
	})
	drain := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(sullae, append([]string{"drain", lone, "--http", p.http}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	drain()
	eventually(t, 10*time.Second, "group 1 is away", func() bool {
		s, err := p.status()
		return err == nil && s.Groups[1].Phase == "waiting"
	})
	body := map[string]any{"model": p.model, "prompt": "옛날 옛적에", "max_tokens": 900, "temperature": 1, "seed": 1, "ignore_eos": true}
	var answers [20]completion
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = p.complete(body); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, 10*time.Second, "requests wait", func() bool {
		s, err := p.status()
		return err == nil && s.Groups[0].Waiting > 10
	})
	drain("--undo")
	eventually(t, 10*time.Second, "group 1 has taken some over", func() bool {
		s, err := p.status()
		return err == nil && s.Groups[1].Running > 0
	})
	wg.Wait()
	for i, a := range answers {
		if !reflect.DeepEqual(a.Choices, answers[0].Choices) {
			t.Errorf("answer %d has other bits", i)
		}
	}
}
