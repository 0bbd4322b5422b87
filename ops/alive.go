package ops

import (
	"fmt"
	"sync"
	"time"
)

// Stuck makes a liveness check of touch, which takes and gives back the locks that
// a process's own work needs: it fails while that takes longer than limit. It
// looks at nothing outside the process, so neither peers nor etcd, nor a long
// step, make it fail.
func Stuck(limit time.Duration, touch func()) func() error {
	var mu sync.Mutex
	var since time.Time // of the touch under way; zero: none
	return func() error {
		mu.Lock()
		began := since
		if began.IsZero() {
			began = time.Now()
			since = began
			go func() { // ends when the locks are free
				touch()
				mu.Lock()
				since = time.Time{}
				mu.Unlock()
			}()
		}
		mu.Unlock()
		if d := time.Since(began); d > limit {
			return fmt.Errorf("stuck for %v", d.Round(time.Second))
		}
		return nil
	}
}
