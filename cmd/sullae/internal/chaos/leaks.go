package chaos

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sullae/sullae/coordinator/status"
)

// usage is what a process holds.
type usage struct{ pid, files, threads int }

// resources reads what every process holds, where the system tells.
func (c *Cluster) resources() map[*node]usage {
	out := map[*node]usage{}
	for _, n := range c.nodes {
		pid := n.pid()
		count := func(what string) int {
			list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, what))
			return len(list)
		}
		out[n] = usage{pid, count("fd"), count("task")}
	}
	return out
}

// Growth of a process through a run that is more than chance.
const (
	moreFiles   = 40
	moreThreads = 40
)

// checkResources finds processes that lived through the run and hold much more
// than before.
func (c *Cluster) checkResources(before map[*node]usage) {
	for n, now := range c.resources() {
		was := before[n]
		if was.pid != now.pid || now.pid == 0 {
			continue
		}
		if now.files > was.files+moreFiles || now.threads > was.threads+moreThreads {
			c.violate("%s (pid %d) leaks: %d files and %d threads, before %d and %d", n.name, now.pid, now.files, now.threads, was.files, was.threads)
		}
	}
}

// checkIdle wants nothing to be left of the requests.
func (c *Cluster) checkIdle(ctx context.Context) {
	if err := c.await(ctx, 10*time.Second, "no sequence and no KV block is left in use", func(s status.Cluster) bool {
		return s.Group.Running+s.Group.Waiting == 0 && s.Group.KVBlocksFree == s.Group.KVBlocksTotal
	}); err != nil {
		c.violate("%v", err)
	}
}
