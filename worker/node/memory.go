package node

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// freeMemory is how many bytes the system and the container leave; 0 where
// neither tells.
func freeMemory() int64 {
	free := field("/proc/meminfo", "MemAvailable:") << 10
	if c := cgroupFree("/"); c > 0 && (free == 0 || c < free) {
		free = c
	}
	return free
}

// heldMemory is how many bytes of memory this process has, files' pages left out;
// 0 where the system doesn't tell.
func heldMemory() int64 { return field("/proc/self/status", "RssAnon:") << 10 }

// field is the number behind a name at the beginning of one of a file's lines; 0
// where there is none.
func field(file, name string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// cgroupFree is what the limits on this process's control group, and on those that
// it is in, leave: 0 where there are none. root is "/", but for tests. Both
// versions of control groups are known; a file's pages that can be dropped count as
// free.
func cgroupFree(root string) int64 {
	raw, err := os.ReadFile(root + "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(raw)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		mount, limit, used, inactive := "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		switch {
		case f[1] == "": // version 2
		case strings.Contains(","+f[1]+",", ",memory,"):
			mount, limit, used, inactive = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		default:
			continue
		}
		// Inside a container the path may be the host's and not be there; the mount's
		// root is the container's own group then.
		for dir := path.Clean("/" + f[2]); ; dir = path.Dir(dir) {
			at := path.Join(root, mount, dir)
			if n := number(path.Join(at, limit)); n > 0 && n < 1<<60 { // version 1 has a huge number for none
				free := max(n-number(path.Join(at, used))+field(path.Join(at, "memory.stat"), inactive), 1)
				if least == 0 || free < least {
					least = free
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// number is a file's only content; 0 where it is no number ("max").
func number(file string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	return n
}
