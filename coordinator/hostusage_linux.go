package coordinator

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// hostUsage reads what the host is used for, in percent.
type hostUsage struct {
	mu   sync.Mutex
	used time.Duration // of CPU, at
	at   time.Time
}

func newHostUsage() *hostUsage { return &hostUsage{at: time.Now()} }

func (h *hostUsage) cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	used, now := time.Duration(u.Utime.Nano()+u.Stime.Nano()), time.Now()
	share := float64(used-h.used) / float64(now.Sub(h.at)) / float64(runtime.NumCPU())
	h.used, h.at = used, now
	return 100 * share
}

func (h *hostUsage) memory() float64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	kb := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 {
			kb[f[0]], _ = strconv.ParseFloat(f[1], 64)
		}
	}
	if kb["MemTotal:"] == 0 {
		return 0
	}
	return 100 * (1 - kb["MemAvailable:"]/kb["MemTotal:"])
}

func (h *hostUsage) disk() float64 {
	var s syscall.Statfs_t
	if syscall.Statfs(".", &s) != nil || s.Blocks == 0 {
		return 0
	}
	return 100 * (1 - float64(s.Bavail)/float64(s.Blocks))
}
