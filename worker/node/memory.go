package node

import "github.com/sullae/sullae/ops/cgroup"

// freeMemory is how many bytes the system and the container leave; 0 where
// neither tells.
func freeMemory() int64 {
	free := cgroup.Field("/proc/meminfo", "MemAvailable:") << 10
	if c := cgroup.Free(); c > 0 && (free == 0 || c < free) {
		free = c
	}
	return free
}

// heldMemory is how many bytes of memory this process has, files' pages left out;
// 0 where the system doesn't tell.
func heldMemory() int64 { return cgroup.Field("/proc/self/status", "RssAnon:") << 10 }
