package node

import (
	"os"
	"strconv"
	"strings"
)

// freeMemory is how many bytes the system and the container leave; 0 where
// neither tells.
func freeMemory() int64 {
	free := available()
	if c := cgroupFree(); c > 0 && (free == 0 || c < free) {
		free = c
	}
	return free
}

// available is MemAvailable of /proc/meminfo, in bytes.
func available() int64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// cgroupFree is the container's limit (cgroup v2) less what it uses.
func cgroupFree() int64 {
	read := func(name string) int64 {
		raw, err := os.ReadFile("/sys/fs/cgroup/" + name)
		if err != nil {
			return 0
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64) // "max" is 0: no limit
		return n
	}
	limit := read("memory.max")
	if limit == 0 {
		return 0
	}
	return max(limit-read("memory.current"), 1)
}
