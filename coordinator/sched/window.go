package sched

// groups is the number of groups of layers.
func (s *Scheduler) groups() int { return len(s.cfg.Windows) }

// spans is for how many times BlockSize positions q has blocks.
func (s *Scheduler) spans(q *sequence) int { return len(q.blocks) / s.groups() }

// unseen is the number of a group's first blocks that hold nothing which a row at
// position pos, or a later one, reads.
func (s *Scheduler) unseen(group, pos int) int {
	w := s.cfg.Windows[group]
	if w == 0 {
		return 0
	}
	return max(0, pos-w+1) / s.cfg.BlockSize
}

// slide gives back the blocks of a running sequence that a window has left. It
// may be called while steps that read them are in flight: whoever gets them next
// writes them in a later step. What the prefix cache is to know is published
// first.
func (s *Scheduler) slide(q *sequence) {
	pos := q.planned
	for g := range s.groups() {
		if s.cfg.PrefixCache && s.unseen(g, pos) > q.published {
			pos = q.published * s.cfg.BlockSize
		}
	}
	if pos <= q.slid {
		return
	}
	var left []int32
	for g := range s.groups() {
		for i := s.unseen(g, q.slid); i < s.unseen(g, pos); i++ {
			left = append(left, q.blocks[i*s.groups()+g])
		}
	}
	q.slid = pos
	s.pool.Return(left)
}

// owned are those of a sequence's blocks, slid as it is, that belong to it.
func (s *Scheduler) owned(blocks []int32, slid int) []int32 {
	last := 0
	for g := range s.groups() {
		last = max(last, s.unseen(g, slid))
	}
	if last == 0 {
		return blocks
	}
	out := make([]int32, 0, len(blocks))
	for i, b := range blocks {
		if i/s.groups() >= s.unseen(i%s.groups(), slid) {
			out = append(out, b)
		}
	}
	return out
}

// lacking is how many more blocks a sequence must have at a time until n tokens
// of it are computed, if it has them for a number of spans and is slid as far.
func (s *Scheduler) lacking(n, spans, slid int) int {
	lack := 0
	for g, w := range s.cfg.Windows {
		freed := s.unseen(g, slid)
		most := s.pool.For(n) - freed
		if w > 0 {
			behind := w - 1
			if s.cfg.PrefixCache { // what is not published yet stays
				behind = max(behind, s.cfg.BlockSize+s.cfg.Depth)
			}
			most = min(most, s.pool.For(behind+s.cfg.MaxBatchedTokens-1)+1)
		}
		lack += max(0, most-(spans-freed))
	}
	return lack
}
