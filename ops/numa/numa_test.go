package numa

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// twoNodes is the sysfs of a machine with two nodes of four CPUs, and memory without CPUs
// as a third.
func twoNodes(t *testing.T) string {
	root := t.TempDir()
	for name, text := range map[string]string{
		"online":         "0-1,4\n",
		"node0/cpulist":  "0-1,4-5\n",
		"node1/cpulist":  "2-3,6-7\n",
		"node4/cpulist":  "\n",
		"node0/meminfo":  "Node 0 MemTotal:       16000 kB\nNode 0 MemFree:         1000 kB\nNode 0 Inactive:        900 kB\nNode 0 Inactive(file):   24 kB\n",
		"node1/meminfo":  "Node 1 MemTotal:       16000 kB\nNode 1 MemFree:         4000 kB\nNode 1 Inactive(file):    0 kB\n",
		"node4/meminfo":  "Node 4 MemFree:         9000 kB\n",
		"node0/distance": "10 20\n",
	} {
		file := filepath.Join(root, "sys/devices/system/node", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestNodes(t *testing.T) {
	root := twoNodes(t)
	all := []Node{{0, []int{0, 1, 4, 5}, 1024 << 10}, {1, []int{2, 3, 6, 7}, 4000 << 10}}
	for _, c := range []struct {
		name    string
		allowed func(int) bool
		want    []Node
	}{
		{"all CPUs", func(int) bool { return true }, all},
		{"some of each", func(cpu int) bool { return cpu < 4 }, []Node{{0, []int{0, 1}, 1024 << 10}, {1, []int{2, 3}, 4000 << 10}}},
		{"one node's alone", func(cpu int) bool { return cpu == 6 }, []Node{{1, []int{6}, 4000 << 10}}},
	} {
		got, err := nodes(root, c.allowed)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	if _, err := nodes(t.TempDir(), func(int) bool { return true }); err == nil || !strings.Contains(err.Error(), "no NUMA nodes") {
		t.Errorf("a system without nodes: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "sys/devices/system/node/node1/cpulist"), []byte("2-x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes(root, func(int) bool { return true }); err == nil || !strings.Contains(err.Error(), "node1/cpulist") {
		t.Errorf("a list that is none: %v", err)
	}
}

func TestChoose(t *testing.T) {
	two, err := nodes(twoNodes(t), func(int) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		nodes []Node
		want  int // -1: none
		err   string
	}{
		{"0", two, 0, ""},
		{"1", two, 1, ""},
		{"off", two, -1, ""},
		{"auto", two, 1, ""}, // has more free memory
		{"auto", two[:1], -1, ""},
		{"2", two, -1, "0 (CPUs 0-1,4-5), 1 (CPUs 2-3,6-7)"},
		{"-1", two, -1, "no such node"},
		{"both", two, -1, "the number of a node, auto or off"},
	} {
		got, err := Choose(c.name, c.nodes)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q in it", c.name, err, c.err)
			}
		case err != nil || (got == nil) != (c.want < 0) || got != nil && got.ID != c.want:
			t.Errorf("%s of %d: %v, %v; want %d", c.name, len(c.nodes), got, err, c.want)
		}
	}
}

func TestLists(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "0": {0}, "0-3": {0, 1, 2, 3}, "1,3-4,9": {1, 3, 4, 9}} {
		got, err := parseList(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if back := formatList(got); back != text {
			t.Errorf("%q: formatted %q", text, back)
		}
	}
	for _, text := range []string{"a", "3-1", "-2", "1,", "0-", "0-99999999999", "0-99999999"} {
		if got, err := parseList(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}
