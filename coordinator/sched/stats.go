package sched

// Stats are figures for metrics. Counters begin with the scheduler.
type Stats struct {
	Waiting, Running int // sequences
	WaitingTokens    int
	InFlight         int // steps
	// The KV pool: used + cached + empty = total.
	BlocksUsed, BlocksCached, BlocksEmpty int
	Preemptions                           uint64 // sequences put back for want of blocks or for a higher priority
	// PrefixQueries are the tokens of all sequences that started, PrefixHits those
	// of them that the prefix cache had. What starts again is not counted again.
	PrefixQueries, PrefixHits uint64
}

// Stats is a snapshot.
func (s *Scheduler) Stats() Stats {
	used, cached, empty := s.pool.Counts()
	return Stats{
		Waiting: s.waiting.len, Running: len(s.running), WaitingTokens: s.waiting.tokens, InFlight: len(s.flight),
		BlocksUsed: used, BlocksCached: cached, BlocksEmpty: empty,
		Preemptions: s.preempted, PrefixQueries: s.queries, PrefixHits: s.hits,
	}
}

// WaitingTokens counts the tokens that wait with a priority or before it.
func (s *Scheduler) WaitingTokens(priority int) int { return s.waiting.tokensUpTo(priority) }

// Unfinished is the number of sequences waiting and running.
func (s *Scheduler) Unfinished() (waiting, running int) { return s.waiting.len, len(s.running) }

// Blocks tells the KV pool's use; cached blocks are free.
func (s *Scheduler) Blocks() (free, total int) { return s.pool.Free(), s.pool.Total() }

// Preemptions counts sequences that were put back for want of blocks or for a
// higher priority.
func (s *Scheduler) Preemptions() uint64 { return s.preempted }

// SequenceState is a sequence as a person who debugs sees it.
type SequenceState struct {
	ID              uint64
	Tenant          string
	Priority        int
	Running         bool
	Prompt, Tokens  int // the prompt's, and all known
	Planned         int // positions whose computing is done or in flight
	Pending         int // tokens that steps in flight sample
	Blocks          []int32
	PublishedBlocks int // of them, full ones in the prefix cache
}

// Sequences lists the running sequences in their order, then the waiting ones by
// priority and arrival.
func (s *Scheduler) Sequences() []SequenceState {
	var out []SequenceState
	for _, q := range append(append([]*sequence(nil), s.running...), s.waiting.all()...) {
		out = append(out, SequenceState{
			ID: q.ID, Tenant: q.Tenant, Priority: q.Priority, Running: q.start != 0,
			Prompt: len(q.Prompt), Tokens: len(q.tokens), Planned: q.planned, Pending: q.pending,
			Blocks: append([]int32(nil), q.blocks...), PublishedBlocks: q.published,
		})
	}
	return out
}
