package sched

import (
	"fmt"
	"slices"

	"github.com/sullae/sullae/collective/digest"
)

// ranks is a fake group. It knows what real ranks know and no more, checks each
// plan as they do, and keeps a KV pool whose slots hold, instead of keys and
// values, the hash of the tokens up to that position. Attention reads all slots
// of a sequence, and the next token is a function of what it reads: a block
// that is shared wrongly, found again though stale, or handed out too early is
// seen at once.
type ranks struct {
	cfg   Config
	seeds map[uint64]uint64 // sampling seeds; real ranks get them with the sequence
	seqs  map[uint64]*held
	kv    []uint64 // hash of the tokens up to the slot's position
	wrote []int    // step that wrote the slot last
	steps int
}

// held is what the ranks know of a sequence.
type held struct {
	tokens   []int32
	prefix   []uint64 // prefix[n] is the hash of the first n tokens
	prompt   int
	computed int
	blocks   []int32
	kind     uint64 // of its keys and values
}

func newRanks(cfg Config, seeds map[uint64]uint64) *ranks {
	if cfg.Windows == nil {
		cfg.Windows = []int{0}
	}
	slots := cfg.Blocks * cfg.BlockSize
	return &ranks{cfg: cfg, seeds: seeds, seqs: map[uint64]*held{}, kv: make([]uint64, slots), wrote: make([]int, slots)}
}

// kindOf is what sets the keys and values of long sequences apart.
func kindOf(cfg Config, tokens int) uint64 {
	if cfg.LongAfter > 0 && tokens > cfg.LongAfter {
		return 1 << 40
	}
	return 0
}

func (h *held) push(t int32) {
	h.tokens = append(h.tokens, t)
	h.prefix = append(h.prefix, digest.Tokens(h.prefix[len(h.prefix)-1], t))
}

// sampled is the token after those of a hash.
func sampled(prefix, seed uint64) int32 {
	return int32(digest.Tokens(prefix, int32(seed)) % 97)
}

// alone is what a prompt must yield, whatever else runs.
func alone(cfg Config, q Request, seed uint64) []int32 {
	var out []int32
	h := digest.Tokens(digest.Start, q.Prompt...)
	for range q.MaxTokens {
		t := sampled(h^kindOf(cfg, len(q.Prompt)+len(out)), seed)
		h = digest.Tokens(h, t)
		out = append(out, t)
		if slices.Contains(q.StopTokens, t) {
			break
		}
	}
	return out
}

// run executes a plan and returns the tokens of each item.
func (r *ranks) run(s Step) ([][]int32, error) {
	r.steps++
	if err := r.admit(s); err != nil {
		return nil, err
	}
	rows, prompts, streams := 0, 0, false
	for _, it := range s.Items {
		q := r.seqs[it.ID]
		rows += it.Count + len(it.Drafts)
		if it.Count > 1 {
			prompts += it.Count
		}
		streams = streams || it.NumComputed >= q.prompt
		// What the step finds must be complete before it writes anything.
		if err := r.attend(it.ID, it.NumComputed, it.NumComputed); err != nil {
			return nil, err
		}
	}
	if rows != s.Rows || rows > r.cfg.MaxBatchedTokens || len(s.Items) > r.cfg.MaxSeqs {
		return nil, fmt.Errorf("step of %d rows (says %d), %d sequences: over the limits", rows, s.Rows, len(s.Items))
	}
	if c := r.cfg.MaxPrefillChunk; streams && c > 0 && prompts > c {
		return nil, fmt.Errorf("%d prompt rows in a step with streams, at most %d allowed", prompts, c)
	}
	for _, it := range s.Items {
		if err := r.write(it); err != nil {
			return nil, err
		}
	}
	var out [][]int32
	for _, it := range s.Items {
		tokens, err := r.finish(it)
		if err != nil {
			return nil, err
		}
		out = append(out, tokens)
	}
	return out, nil
}

// admit applies a step's joins and leaves and checks its items.
func (r *ranks) admit(s Step) error {
	for _, id := range s.Finished {
		if r.seqs[id] == nil {
			return fmt.Errorf("sequence %d finished, but is not known", id)
		}
		delete(r.seqs, id)
	}
	for _, n := range s.Started {
		if r.seqs[n.ID] != nil {
			return fmt.Errorf("sequence %d starts twice", n.ID)
		}
		h := &held{prefix: []uint64{digest.Start}, prompt: n.PromptLen, computed: n.NumComputed, kind: kindOf(r.cfg, len(n.Tokens))}
		for _, t := range n.Tokens {
			h.push(t)
		}
		r.seqs[n.ID] = h
	}
	seen := map[uint64]bool{}
	for _, it := range s.Items {
		q := r.seqs[it.ID]
		if q == nil || seen[it.ID] {
			return fmt.Errorf("sequence %d is not known, or has two items", it.ID)
		}
		seen[it.ID] = true
		q.blocks = append(q.blocks, it.NewBlocks...)
		end := it.NumComputed + it.Count
		switch {
		case q.computed != it.NumComputed || it.Count < 1 || end > len(q.tokens) || end+len(it.Drafts) > len(q.blocks)/len(r.cfg.Windows)*r.cfg.BlockSize:
			return fmt.Errorf("item %+v does not fit %d tokens, %d computed, blocks %v", it, len(q.tokens), q.computed, q.blocks)
		case it.Sample && end != len(q.tokens), len(it.Drafts) > 0 && !it.Sample, end+len(it.Drafts) > r.cfg.MaxModelLen:
			return fmt.Errorf("item %+v samples at %d of %d tokens", it, end, len(q.tokens))
		case kindOf(r.cfg, end+len(it.Drafts)) > q.kind:
			return fmt.Errorf("item %+v goes on with the keys of a short sequence", it)
		case it.Tokens > len(q.tokens) || it.Hash != q.prefix[it.Tokens]:
			return fmt.Errorf("sequence %d: hash differs", it.ID)
		}
	}
	return nil
}

// slot is where a group of layers has position p.
func (r *ranks) slot(q *held, g, p int) int {
	return int(q.blocks[p/r.cfg.BlockSize*len(r.cfg.Windows)+g])*r.cfg.BlockSize + p%r.cfg.BlockSize
}

// salt keeps groups' keys and values apart.
func salt(g int) uint64 { return uint64(g) << 50 }

// attend reads the positions before n of a sequence that the row at position row,
// and later ones, see.
func (r *ranks) attend(id uint64, row, n int) error {
	q := r.seqs[id]
	for g, w := range r.cfg.Windows {
		first := 0
		if w > 0 {
			first = max(0, row-w+1)
		}
		for p := first; p < n; p++ {
			if slot := r.slot(q, g, p); r.kv[slot] != q.prefix[p+1]^q.kind^salt(g) {
				return fmt.Errorf("sequence %d, position %d: block %d holds something else", id, p, slot/r.cfg.BlockSize)
			}
		}
	}
	return nil
}

// write computes an item's rows.
func (r *ranks) write(it Item) error {
	q := r.seqs[it.ID]
	end := it.NumComputed + it.Count
	h := q.prefix[end]
	for p := it.NumComputed; p < end+len(it.Drafts); p++ {
		if p >= end {
			h = digest.Tokens(h, it.Drafts[p-end])
		}
		for g := range r.cfg.Windows {
			slot := r.slot(q, g, p)
			if r.wrote[slot] == r.steps {
				return fmt.Errorf("sequence %d, position %d: block %d has two writers", it.ID, p, slot/r.cfg.BlockSize)
			}
			r.wrote[slot] = r.steps
			if r.kv[slot] = h ^ q.kind ^ salt(g); p < end {
				r.kv[slot] = q.prefix[p+1] ^ q.kind ^ salt(g)
			}
		}
	}
	return nil
}

// finish attends, samples and advances.
func (r *ranks) finish(it Item) ([]int32, error) {
	q := r.seqs[it.ID]
	q.computed = it.NumComputed + it.Count
	if err := r.attend(it.ID, it.NumComputed, q.computed); err != nil {
		return nil, err
	}
	if !it.Sample {
		return nil, nil
	}
	var out []int32
	for i := 0; ; i++ {
		t := sampled(r.kv[r.slot(q, 0, q.computed-1)], r.seeds[it.ID])
		q.push(t)
		out = append(out, t)
		if i == len(it.Drafts) || it.Drafts[i] != t {
			return out, nil
		}
		q.computed++
	}
}
