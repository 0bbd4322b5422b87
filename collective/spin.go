package collective

import "time"

// A wait for a peer on the same host is short where both have a processor: the
// peer is as far as this rank, but for microseconds. Sleeping costs more, since
// the peer has to wake a goroutine, its thread and the processor under it.

// yieldTurns is how often a spinning wait looks before it lets other processes run.
const yieldTurns = 32

// spin looks into the polled links that need names, since t0, until there is a
// frame, for as long as waits may spin.
func (g *Group) spin(need []bool, t0 time.Time) {
	if g.cfg.Spin <= 0 {
		return
	}
	local := false
	for p, n := range need {
		local = local || n && g.rx[p].polled != nil
	}
	for turn := 1; local; turn++ {
		for p, n := range need {
			if n && g.poll(p) {
				return
			}
		}
		if turn%yieldTurns != 0 {
			continue
		}
		if g.ready(need) || time.Since(t0) > g.cfg.Spin {
			return
		}
		yield()
	}
}

// lookEvery is how often a rank that sleeps looks into its links all the same: memory
// that another process writes is no place to rely on for being woken.
const lookEvery = 20 * time.Millisecond

// sleep waits for a signal or the end, and no longer than lookEvery for polled links.
func (g *Group) sleep(need []bool) {
	var look <-chan time.Time
	for p, n := range need {
		if n && g.rx[p].polled != nil {
			look = time.After(lookEvery)
			break
		}
	}
	select {
	case <-g.wake:
	case <-g.done:
	case <-look:
		for p, n := range need {
			if n {
				g.poll(p)
			}
		}
	}
}

// ready reports whether await would return.
func (g *Group) ready(need []bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, n := range need {
		if b := &g.inboxes[p]; n && (!b.empty() || b.ended != nil) {
			return true
		}
	}
	return g.err != nil
}

// arm has the polled links that need names wake this rank, or not any more, and
// takes what came before they knew.
func (g *Group) arm(need []bool, on bool) {
	for p, n := range need {
		if l := g.rx[p].polled; n && l != nil {
			l.Arm(on)
			g.poll(p)
		}
	}
}
