package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFree: the tightest of the limits around a process holds, in both
// versions of control groups, in a container too.
func TestFree(t *testing.T) {
	const gb = "000000000"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no control groups", nil, 0},
		{"version 2 without a limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "5\n"}, 0},
		{"version 2, the outer limit is tighter", map[string]string{"proc/self/cgroup": "0::/pod/c\n",
			"sys/fs/cgroup/pod/c/memory.max": "8" + gb, "sys/fs/cgroup/pod/c/memory.current": "1" + gb,
			"sys/fs/cgroup/pod/memory.max": "6" + gb, "sys/fs/cgroup/pod/memory.current": "2" + gb}, 4_000_000_000},
		{"version 2 in a container, where the path is not there", map[string]string{"proc/self/cgroup": "0::/../elsewhere\n",
			"sys/fs/cgroup/memory.max": "4" + gb, "sys/fs/cgroup/memory.current": "3" + gb, "sys/fs/cgroup/memory.stat": "anon 7\ninactive_file 2" + gb + "\n"}, 3_000_000_000},
		{"version 1", map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2" + gb, "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "500000000"}, 1_500_000_000},
		{"version 1 without a limit", map[string]string{"proc/self/cgroup": "3:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 0},
		{"full", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1" + gb, "sys/fs/cgroup/memory.current": "2" + gb}, 1},
	} {
		root := tree(t, c.files)
		if got := free(root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// TestThreads: a quota bounds the threads, one CPU or less is one, and the
// environment's GOMAXPROCS is taken as it is.
func TestThreads(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		env   string
		procs int
		want  int
	}{
		{"no control groups", nil, "", 8, 8},
		{"version 2 without a quota", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, "", 8, 8},
		{"version 2, one CPU, where Go has two", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"}, "", 2, 1},
		{"version 2, the outer quota is tighter", map[string]string{"proc/self/cgroup": "0::/pod/c\n",
			"sys/fs/cgroup/pod/c/cpu.max": "400000 100000\n", "sys/fs/cgroup/pod/cpu.max": "50000 100000\n"}, "", 4, 1},
		{"version 2 in a container, a CPU and a half", map[string]string{"proc/self/cgroup": "0::/../elsewhere\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, "", 8, 2},
		{"version 1", map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/x\n",
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "90000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"}, "", 2, 1},
		{"version 1 without a quota", map[string]string{"proc/self/cgroup": "4:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, "", 2, 2},
		{"fewer CPUs than the quota", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1600000 100000\n"}, "", 2, 2},
		{"GOMAXPROCS is set", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, "3", 3, 3},
		{"GOMAXPROCS is no number", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, "all", 2, 1},
	} {
		if got := threads(tree(t, c.files), c.env, c.procs); got != c.want {
			t.Errorf("%s: %d threads, want %d", c.name, got, c.want)
		}
	}
}

// tree makes files, and returns the folder that they are in.
func tree(t *testing.T, files map[string]string) string {
	root := t.TempDir() + "/"
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
