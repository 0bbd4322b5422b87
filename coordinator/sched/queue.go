package sched

import (
	"cmp"
	"slices"
	"sort"
)

// queue holds the waiting sequences by priority, tenant and arrival.
type queue struct {
	levels []*level // by priority
	len    int      // sequences
	tokens int
}

// level is the waiting sequences of one priority. next compares with a total
// order, so that the order of a map's elements never shows.
type level struct {
	priority int
	lines    map[*tenant][]*sequence // each by arrival
	tokens   int
}

func (w *queue) find(priority int) (int, bool) {
	return sort.Find(len(w.levels), func(i int) int { return priority - w.levels[i].priority })
}

func (w *queue) add(q *sequence) {
	i, ok := w.find(q.Priority)
	if !ok {
		w.levels = slices.Insert(w.levels, i, &level{priority: q.Priority, lines: map[*tenant][]*sequence{}})
	}
	lines := w.levels[i].lines
	at := placeIn(lines[q.tenant], q)
	lines[q.tenant] = slices.Insert(lines[q.tenant], at, q)
	w.levels[i].tokens += len(q.tokens)
	w.len++
	w.tokens += len(q.tokens)
}

func (w *queue) remove(q *sequence) {
	i, _ := w.find(q.Priority)
	lines := w.levels[i].lines
	w.levels[i].tokens -= len(q.tokens)
	at := placeIn(lines[q.tenant], q)
	if line := slices.Delete(lines[q.tenant], at, at+1); len(line) > 0 {
		lines[q.tenant] = line
	} else if delete(lines, q.tenant); len(lines) == 0 {
		w.levels = slices.Delete(w.levels, i, i+1)
	}
	w.len--
	w.tokens -= len(q.tokens)
}

func placeIn(line []*sequence, q *sequence) int {
	return sort.Search(len(line), func(i int) bool { return line[i].arrival >= q.arrival })
}

// next is whose turn it is, of those that this call of Schedule has not passed
// over; nil: nobody's.
func (w *queue) next(call uint64) *sequence {
	for _, l := range w.levels {
		var best *sequence
		for _, line := range l.lines {
			q := firstNot(line, call)
			if q != nil && (best == nil || fairer(q, best)) {
				best = q
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

func firstNot(line []*sequence, call uint64) *sequence {
	for _, q := range line {
		if q.deferred != call {
			return q
		}
	}
	return nil
}

// fairer compares sequences of one priority and two tenants.
func fairer(a, b *sequence) bool {
	if a.tenant.served != b.tenant.served {
		return a.tenant.served < b.tenant.served
	}
	return a.arrival < b.arrival
}

// tokensUpTo counts the tokens that wait with a priority or before it.
func (w *queue) tokensUpTo(priority int) (n int) {
	for _, l := range w.levels {
		if l.priority > priority {
			break
		}
		n += l.tokens
	}
	return n
}

// all lists the waiting sequences by priority and arrival.
func (w *queue) all() []*sequence {
	var out []*sequence
	for _, l := range w.levels {
		n := len(out)
		for _, line := range l.lines {
			out = append(out, line...)
		}
		slices.SortFunc(out[n:], func(a, b *sequence) int { return cmp.Compare(a.arrival, b.arrival) })
	}
	return out
}
