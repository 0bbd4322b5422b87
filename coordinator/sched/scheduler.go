package sched

import (
	"slices"
	"sort"

	"github.com/sullae/sullae/coordinator/block"
)

// Scheduler holds the sequences of one group.
type Scheduler struct {
	cfg     Config
	pool    *block.Pool
	tenants tenants
	waiting queue
	running []*sequence // in order of before
	byID    map[uint64]*sequence
	pace    int      // Pace's rows
	dropped []uint64 // sequences that the ranks must forget
	// computing finds the running sequence that is to compute a block.
	computing map[block.Hash]*sequence
	flight    []flight // steps planned and not yet updated, in order

	starts, steps, calls uint64
	preempted            uint64
	queries, hits        uint64 // of the prefix cache, in tokens
}

// flight is a step whose results are outstanding.
type flight struct {
	step  uint64
	items int // not yet updated
}

// New has no sequences.
func New(cfg Config) *Scheduler {
	cfg.Depth = max(cfg.Depth, 1)
	if len(cfg.Windows) == 0 {
		cfg.Windows = []int{0}
	}
	if cfg.Arrivals == nil {
		cfg.Arrivals = new(Arrivals)
	}
	s := &Scheduler{
		cfg: cfg, pool: block.NewPool(cfg.Blocks, cfg.BlockSize),
		byID: map[uint64]*sequence{}, computing: map[block.Hash]*sequence{},
		tenants: newTenants(),
	}
	s.pool.Watch(cfg.Watch)
	return s
}

// At tells the time of the steps to come, in seconds from any beginning, for Config.Watch alone.
func (s *Scheduler) At(now float64) { s.pool.At(now) }

// Abort forgets a sequence, whatever it was doing: its client is gone or its
// deadline has passed. No later step has a part of it, and its blocks are free
// for the next one. It is not an error if it is gone already. started tells
// whether a step was ever spent on it.
func (s *Scheduler) Abort(id uint64) (started bool) {
	q := s.byID[id]
	if q == nil {
		return false
	}
	s.drop(q)
	return q.charged > 0
}

// Reset puts every running sequence back, with nothing computed: the ranks that
// held them are gone, and with them all cached content and the results of steps
// in flight. Arrival order is kept.
func (s *Scheduler) Reset() {
	for len(s.running) > 0 {
		s.putBack(s.running[len(s.running)-1])
	}
	s.pool.Clear()
	s.dropped, s.flight = nil, nil
}

// Resize gives the scheduler, after Reset, a KV pool of another size. It drops the
// sequences that can never fit into it, and says why.
func (s *Scheduler) Resize(blocks int) map[uint64]error {
	if len(s.running) > 0 {
		panic("sched: resizing while sequences run")
	}
	if blocks == s.pool.Total() {
		return nil
	}
	s.cfg.Blocks, s.pool = blocks, block.NewPool(blocks, s.cfg.BlockSize)
	s.pool.Watch(s.cfg.Watch)
	dropped := map[uint64]error{}
	for _, q := range s.waiting.all() {
		if err := s.fitsEver(q.Request); err != nil {
			dropped[q.ID] = err
			s.drop(q)
		}
	}
	return dropped
}

// drop removes a sequence for good.
func (s *Scheduler) drop(q *sequence) {
	if q.start == 0 {
		s.waiting.remove(q)
	} else {
		s.halt(q)
	}
	delete(s.byID, q.ID)
	s.tenants.leave(q.tenant)
}

// putBack returns a running sequence to the queue, at the place that its arrival
// gives it. Results of steps in flight are ignored when they come: they will be
// computed again, and be the same.
func (s *Scheduler) putBack(q *sequence) {
	s.halt(q)
	s.waiting.add(q)
}

// halt takes a sequence out of running, and its blocks and its state on the
// ranks from it.
func (s *Scheduler) halt(q *sequence) {
	i := s.place(q)
	s.running = slices.Delete(s.running, i, i+1)
	s.pool.Return(s.owned(q.blocks, q.slid))
	s.forgetComputing(q)
	if q.known {
		s.dropped = append(s.dropped, q.ID)
	}
	q.blocks, q.slid, q.planned, q.pending, q.published, q.sent = nil, 0, 0, 0, 0, 0
	q.known, q.start = false, 0
}

// place is where q is, or belongs, among the running sequences.
func (s *Scheduler) place(q *sequence) int {
	return sort.Search(len(s.running), func(i int) bool { return !s.running[i].before(q) })
}
