// Package numa finds the machine's NUMA nodes and binds a process to one of them: its
// threads to the node's CPUs and its memory to the node's.
package numa

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/sullae/sullae/ops/cgroup"
)

// Node is a NUMA node with CPUs that this process may use.
type Node struct {
	ID   int
	CPUs []int // that it may use
	Free int64 // bytes of its memory
}

// String is the node as errors and logs name it: "1 (CPUs 8-15)".
func (n Node) String() string { return fmt.Sprintf("%d (CPUs %s)", n.ID, formatList(n.CPUs)) }

// Nodes are the nodes whose CPUs this process may use, in order. A system without NUMA
// is an error.
func Nodes() ([]Node, error) {
	allowed, err := allowedCPUs()
	if err != nil {
		return nil, err
	}
	return nodes("/", allowed)
}

// nodes reads them from sysfs; root is "/", but for tests.
func nodes(root string, allowed func(cpu int) bool) ([]Node, error) {
	dir := path.Join(root, "sys/devices/system/node")
	ids, err := readList(path.Join(dir, "online"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("this system tells of no NUMA nodes (/sys/devices/system/node is not there)")
	}
	if err != nil {
		return nil, err
	}
	var list []Node
	for _, id := range ids {
		at := path.Join(dir, fmt.Sprint("node", id))
		cpus, err := readList(path.Join(at, "cpulist"))
		if err != nil {
			return nil, err
		}
		n := Node{ID: id, Free: free(path.Join(at, "meminfo"), id)}
		for _, c := range cpus {
			if allowed(c) {
				n.CPUs = append(n.CPUs, c)
			}
		}
		if len(n.CPUs) > 0 { // memory alone is no place for a process
			list = append(list, n)
		}
	}
	return list, nil
}

// free is what a node's meminfo has as free, and what of files can be dropped.
func free(file string, id int) int64 {
	bytes := int64(0)
	for _, name := range []string{"MemFree:", "Inactive(file):"} {
		bytes += cgroup.Field(file, fmt.Sprintf("Node %d %s", id, name)) << 10
	}
	return bytes
}

// Choose finds what the user asks for among the nodes: a node's number, or "auto", which
// is the node with the most free memory where there are several, and nil where there
// are not. "off" is nil.
func Choose(name string, nodes []Node) (*Node, error) {
	switch name {
	case "off":
		return nil, nil
	case "auto":
		if len(nodes) < 2 {
			return nil, nil
		}
		best := 0
		for i, n := range nodes {
			if n.Free > nodes[best].Free {
				best = i
			}
		}
		return &nodes[best], nil
	}
	id, err := strconv.Atoi(name)
	if err != nil {
		return nil, errors.New("the number of a node, auto or off belongs here")
	}
	var there []string
	for i, n := range nodes {
		if n.ID == id {
			return &nodes[i], nil
		}
		there = append(there, n.String())
	}
	return nil, fmt.Errorf("no such node; those with CPUs that this process may use: %s", strings.Join(there, ", "))
}

// readList reads a file with a list of numbers and ranges, "0-3,8".
func readList(file string) ([]int, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	list, err := parseList(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// mostListed bounds a list's numbers: more than any machine has.
const mostListed = 1 << 16

func parseList(text string) (list []int, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		lo, err := strconv.Atoi(first)
		hi := lo
		if ranged && err == nil {
			hi, err = strconv.Atoi(last)
		}
		if err != nil || lo < 0 || hi < lo || hi >= mostListed {
			return nil, fmt.Errorf("%q is no list of numbers and ranges", text)
		}
		for n := lo; n <= hi; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}

func formatList(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}
