// Package cgroup reads what the control groups around this process leave it: of
// memory, and of CPUs. Both versions of control groups are known, also mixed.
package cgroup

import (
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// Threads is how many threads may compute at once: GOMAXPROCS, whose default is
// the CPU quota rounded up, but 2 at least. A quota of one CPU or less is one
// thread here, unless the environment sets GOMAXPROCS.
func Threads() int { return threads("/", os.Getenv("GOMAXPROCS"), runtime.GOMAXPROCS(0)) }

func threads(root, env string, procs int) int {
	quota := cpus(root)
	if n, err := strconv.Atoi(env); err == nil && n > 0 || quota == 0 {
		return procs
	}
	return max(1, min(procs, int(math.Ceil(quota))))
}

// cpus is the smallest CPU quota around this process; 0 where there is none. root
// is "/", but for tests.
func cpus(root string) float64 {
	least := 0.0
	each(root, "cpu", func(dir string, v2 bool) {
		var quota, period string
		if v2 {
			quota, period, _ = strings.Cut(content(path.Join(dir, "cpu.max")), " ")
		} else {
			quota, period = content(path.Join(dir, "cpu.cfs_quota_us")), content(path.Join(dir, "cpu.cfs_period_us"))
		}
		q, p := parse(quota), parse(period) // "max" and -1 are none
		if q > 0 && p > 0 && (least == 0 || float64(q)/float64(p) < least) {
			least = float64(q) / float64(p)
		}
	})
	return least
}

// Free is how many bytes the memory limits around this process leave; 0 where
// there are none. A file's pages that can be dropped count as free.
func Free() int64 { return free("/") }

func free(root string) int64 {
	least := int64(0)
	each(root, "memory", func(dir string, v2 bool) {
		limit, used, inactive := "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		if v2 {
			limit, used, inactive = "memory.max", "memory.current", "inactive_file"
		}
		n := parse(content(path.Join(dir, limit)))
		if n <= 0 || n >= 1<<60 { // version 1 has a huge number for none
			return
		}
		left := max(n-parse(content(path.Join(dir, used)))+Field(path.Join(dir, "memory.stat"), inactive), 1)
		if least == 0 || left < least {
			least = left
		}
	})
	return least
}

// each calls f with the folder of every group that this process is in and that
// limits what controller does, the innermost first.
func each(root, controller string, f func(dir string, v2 bool)) {
	for line := range strings.Lines(content(path.Join(root, "proc/self/cgroup"))) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		mount, v2 := "sys/fs/cgroup", part[1] == ""
		if !v2 {
			if !strings.Contains(","+part[1]+",", ","+controller+",") {
				continue
			}
			mount = path.Join(mount, controller)
		}
		// Inside a container the path may be the host's and not be there; the mount's
		// root is the container's own group then.
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
			f(path.Join(root, mount, dir), v2)
			if dir == "/" {
				break
			}
		}
	}
}

// Field is the number behind a name at the beginning of one of a file's lines; 0
// where there is none.
func Field(file, name string) int64 {
	for line := range strings.Lines(content(file)) {
		rest, ok := strings.CutPrefix(line, name)
		if f := strings.Fields(rest); ok && len(f) > 0 && strings.TrimLeft(rest, " \t") != rest {
			return parse(f[0])
		}
	}
	return 0
}

// content is a small file's text; "" where it can't be read.
func content(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(raw)
}

// parse is the number that text is; 0 where it is none.
func parse(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n
}
