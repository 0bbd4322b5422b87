package node

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCgroupFree: the tightest of the limits around a process holds, in both
// versions of control groups, in a container too.
func TestCgroupFree(t *testing.T) {
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
		root := t.TempDir() + "/"
		for name, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := cgroupFree(root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}
