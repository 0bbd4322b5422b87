package node

import (
	"github.com/sullae/sullae/ops/cgroup"
	"github.com/sullae/sullae/ops/numa"
)

// freeMemory is how many bytes the system, the container and the NUMA node that the
// process is bound to leave; 0 where none tells.
func freeMemory() int64 {
	free := cgroup.Field("/proc/meminfo", "MemAvailable:") << 10
	for _, n := range []int64{cgroup.Free(), numa.Free()} {
		if n > 0 && (free == 0 || n < free) {
			free = n
		}
	}
	return free
}

// heldMemory is how many bytes of memory this process has, files' pages left out;
// 0 where the system doesn't tell.
func heldMemory() int64 { return cgroup.Field("/proc/self/status", "RssAnon:") << 10 }
