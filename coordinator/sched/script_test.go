package sched

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/sullae/sullae/collective/digest"
)

// TestScripts runs the stories in testdata against a fake group, which checks
// every plan. Commands:
//
//	config [budget= seqs= len= blocks= block= chunk= depth= waiting= waiting-tokens= windows=(N,N...) long-after= no-cache]
//	    a new scheduler.
//	add id=N|(N,N...) prompt=(A12,b3) tokens=N [stop=N scores priority= tenant= drafts=N wrong]
//	    one request, of several choices if there are several ids. A12 is 12 tokens
//	    of text A: equal letters are equal texts. stop=N: the N-th token that will
//	    be sampled is a stop token. drafts=N: up to N right proposals, or wrong ones.
//	step [n=N]       plan, execute, update; N times.
//	plan, results    the two halves of step, for steps in flight.
//	abort id=N, reset
//	group name=TEXT  what follows is of this group; the first is called a. A new one has
//	    the same config, and their sequences arrive in one order.
//	move id=N|(N,N...) to=TEXT
//	    sequences that wait go on in another group.
//	dump             sequences and blocks.
//	quiet            like step until nothing is left, showing only what ended.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		sc := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			sc.out.Reset()
			sc.do(t, d)
			for _, g := range sc.groups {
				if err := g.s.CheckIntegrity(); err != nil {
					t.Fatal(err)
				}
			}
			if sc.out.Len() == 0 {
				return "ok\n"
			}
			return sc.out.String()
		})
	})
}

type script struct {
	out    strings.Builder
	cfg    Config
	groups map[string]*scripted
	*scripted
	wrong map[uint64]bool // drafts
}

// scripted is one group of a story.
type scripted struct {
	s     *Scheduler
	r     *ranks
	plans []Step
	step  int
}

func arg(t *testing.T, d *datadriven.TestData, key string, v int) int {
	d.MaybeScanArgs(t, key, &v)
	return v
}

// windows are those of the groups of layers.
func windows(t *testing.T, d *datadriven.TestData) (out []int) {
	a, ok := d.Arg("windows")
	if !ok {
		return nil
	}
	for i := range a.Vals {
		var w int
		a.Scan(t, i, &w)
		out = append(out, w)
	}
	return out
}

func (sc *script) do(t *testing.T, d *datadriven.TestData) {
	switch d.Cmd {
	case "config":
		sc.cfg = Config{
			MaxBatchedTokens: arg(t, d, "budget", 64), MaxSeqs: arg(t, d, "seqs", 8), MaxModelLen: arg(t, d, "len", 100),
			Blocks: arg(t, d, "blocks", 100), BlockSize: arg(t, d, "block", 4), PrefixCache: !d.HasArg("no-cache"),
			Windows: windows(t, d), LongAfter: arg(t, d, "long-after", 0),
			MaxPrefillChunk: arg(t, d, "chunk", 0), Depth: arg(t, d, "depth", 1),
			MaxWaiting: arg(t, d, "waiting", 0), MaxWaitingTokens: arg(t, d, "waiting-tokens", 0), Draft: sc.draft,
			Arrivals: new(Arrivals),
		}
		sc.groups, sc.wrong = map[string]*scripted{}, map[uint64]bool{}
		sc.scripted = sc.group("a")
	case "group":
		var name string
		d.ScanArgs(t, "name", &name)
		sc.scripted = sc.group(name)
	case "move":
		var to string
		d.ScanArgs(t, "to", &to)
		ids, _ := d.Arg("id")
		for i := range ids.Vals {
			var id uint64
			ids.Scan(t, i, &id)
			if err := sc.group(to).s.Attach(id, sc.s.Detach(id)); err != nil {
				sc.printf("%v\n", err)
			}
		}
	case "add":
		sc.add(t, d)
	case "step":
		for range arg(t, d, "n", 1) {
			sc.plan(t)
			sc.results(t, true)
		}
	case "plan":
		sc.plan(t)
	case "results":
		sc.results(t, true)
	case "quiet":
		for {
			out := sc.out.String()
			ok := sc.plan(t)
			sc.out.Reset()
			sc.out.WriteString(out)
			if !ok {
				break
			}
			sc.results(t, false)
		}
	case "abort":
		started := sc.s.Abort(uint64(arg(t, d, "id", 0)))
		sc.printf("started: %v\n", started)
	case "reset":
		sc.s.Reset()
		sc.r, sc.plans = newRanks(sc.cfg, sc.r.seeds), nil
	case "dump":
		sc.dump()
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
}

// group finds one, or makes it.
func (sc *script) group(name string) *scripted {
	if sc.groups[name] == nil {
		sc.groups[name] = &scripted{s: New(sc.cfg), r: newRanks(sc.cfg, map[uint64]uint64{})}
	}
	return sc.groups[name]
}

func (sc *script) printf(format string, args ...any) { fmt.Fprintf(&sc.out, format, args...) }

// text is n tokens of the text that a letter names.
func text(spec string) []int32 {
	var n int
	fmt.Sscanf(spec[1:], "%d", &n)
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(digest.Tokens(digest.Start, int32(spec[0]), int32(i)) % 97)
	}
	return out
}

func (sc *script) add(t *testing.T, d *datadriven.TestData) {
	r := Request{MaxTokens: arg(t, d, "tokens", 0), PromptScores: d.HasArg("scores"), Priority: arg(t, d, "priority", 0), MaxDrafts: arg(t, d, "drafts", 0)}
	d.MaybeScanArgs(t, "tenant", &r.Tenant)
	a, _ := d.Arg("prompt")
	for _, spec := range a.Vals {
		r.Prompt = append(r.Prompt, text(spec)...)
	}
	if n := arg(t, d, "stop", 0); n > 0 {
		r.StopTokens = alone(sc.cfg, r, 0)[n-1 : n]
	}
	var rs []Request
	ids, _ := d.Arg("id")
	for i := range ids.Vals {
		ids.Scan(t, i, &r.ID)
		sc.wrong[r.ID] = d.HasArg("wrong")
		rs = append(rs, r)
	}
	err := sc.s.Add(rs...)
	var full *QueueFullError
	if errors.As(err, &full) != errors.Is(err, ErrQueueFull) {
		t.Fatal("a full queue must come with its length")
	}
	if err != nil {
		sc.printf("%v\n", err)
	}
}

// draft proposes what will come, or what will not.
func (sc *script) draft(id uint64, tokens []int32, limit int) []int32 {
	out := alone(sc.cfg, Request{Prompt: tokens, MaxTokens: limit}, 0)
	if sc.wrong[id] {
		out[0]++
	}
	return out
}

func (sc *script) plan(t *testing.T) bool {
	plan, ok := sc.s.Schedule()
	if !ok {
		sc.printf("nothing to plan\n")
		return false
	}
	sc.step++
	sc.plans = append(sc.plans, plan)
	sc.printf("step %d: %d rows", sc.step, plan.Rows)
	if len(plan.Finished) > 0 {
		sc.printf(", forget %v", plan.Finished)
	}
	sc.printf("\n")
	for _, it := range plan.Items {
		how := ""
		if i := slices.IndexFunc(plan.Started, func(n Start) bool { return n.ID == it.ID }); i >= 0 {
			n := plan.Started[i]
			how = fmt.Sprintf(" starts with %d tokens, %d cached:", len(n.Tokens), n.NumComputed)
		}
		sc.printf("  %d:%s [%d, %d)", it.ID, how, it.NumComputed, it.NumComputed+it.Count)
		if len(it.Drafts) > 0 {
			sc.printf(" and %d drafts", len(it.Drafts))
		}
		if len(it.NewBlocks) > 0 {
			sc.printf(" blocks %v", it.NewBlocks)
		}
		if n := it.NumComputed + it.Count - it.Tokens; n > 0 {
			sc.printf(" %d pending", n)
		}
		if it.Sample {
			sc.printf(" sample")
		}
		sc.printf("\n")
	}
	return true
}

func (sc *script) results(t *testing.T, all bool) {
	if len(sc.plans) == 0 {
		return
	}
	plan := sc.plans[0]
	sc.plans = sc.plans[1:]
	results, err := sc.r.run(plan)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range plan.Items {
		p, ok := sc.s.Update(it, results[i]...)
		switch {
		case !ok:
			sc.printf("  %d was computed in vain\n", it.ID)
			continue
		case p.Prompt.Count > 0 && all:
			sc.printf("  %d has scores [%d, %d)\n", it.ID, p.Prompt.First, p.Prompt.First+p.Prompt.Count)
		}
		if p.Tokens > 1 && all {
			sc.printf("  %d has %d tokens\n", it.ID, p.Tokens)
		}
		if p.Finish != NotFinished {
			sc.printf("  %d ends: %s\n", it.ID, [...]string{Stop: "stop", Length: "length"}[p.Finish])
		}
	}
}

func (sc *script) dump() {
	for _, q := range sc.s.Sequences() {
		state := "waits"
		if q.Running {
			state = "runs"
		}
		sc.printf("%d %s: %d+%d tokens", q.ID, state, q.Prompt, q.Tokens-q.Prompt)
		if q.Running {
			sc.printf(", %d pending, %d planned, blocks %v, %d published", q.Pending, q.Planned, q.Blocks, q.PublishedBlocks)
		}
		if q.Priority != 0 {
			sc.printf(", priority %d", q.Priority)
		}
		if q.Tenant != "" {
			sc.printf(", tenant %s", q.Tenant)
		}
		sc.printf("\n")
	}
	st := sc.s.Stats()
	sc.printf("blocks: %d used, %d cached, %d empty; prefix cache: %d of %d tokens; %d preemptions\n",
		st.BlocksUsed, st.BlocksCached, st.BlocksEmpty, st.PrefixHits, st.PrefixQueries, st.Preemptions)
}
