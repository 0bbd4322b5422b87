package registry_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sullae/sullae/collective/registry"
)

// This file is a model of the protocol of epochs, checked exhaustively for two
// coordinators, two workers, one request of two tokens and a bounded number of
// faults: every order of events, with messages lost, late and repeated.
//
// What it has of the real code: a worker's decision whether to obey an order
// (Membership.Admit, with Generation.Admits in it) and a coordinator's whether it
// may go on without etcd (NextUnrecorded). What it models: etcd (a record and a
// leader, linearizable; a write is guarded by the leader's key as
// Leadership.WriteGeneration's), the network, and the lives of processes, as in
// worker/node (take, Run), coordinator/group (form, record, recordLater, serve,
// apply) and proto/client (Resume).

const modelWorkers = 2

// bounds keep the number of worlds finite.
type bounds struct {
	workers uint8 // that may be members
	tokens  uint8 // of the request
	epochs  uint8
	formed  uint8 // formations by each coordinator
	faults  uint8 // things lost, killed, cut off or repeated; epochs that fail for no other reason are not counted where failing is set
	failing bool
}

// The two looks at the protocol: at who drives a worker, and at what reaches the
// client.
var (
	driving = bounds{workers: 1, tokens: 1, epochs: 3, formed: 3, faults: 2, failing: true}
	reading = bounds{workers: 2, tokens: 2, epochs: 3, formed: 2, faults: 2}
)

// formation is an epoch that a coordinator (1 or 2) forms. tok and prev stand for
// the tokens; 0 is none.
type formation struct{ epoch, tok, prev, by, members uint8 }

// director is a coordinator.
type director struct {
	up, sees, leads bool // sees: it reaches etcd
	last            formation
	cur             formation // epoch 0: none
	prepared        uint8     // workers
	running         bool
	recorded        bool
	stream          bool // it has the request
	pos             uint8
	flight          bool // a step for pos was sent
	replied         uint8
	formed          uint8 // formations so far, for new tokens
}

// hand is a worker.
type hand struct {
	sees    bool
	member  formation // as Membership: of it epoch and tok count
	cur     formation // the rank that it is; epoch 0: none
	running bool
	did     formation // of the last step that it computed
}

// letter is a message on its way.
type letter struct {
	kind   uint8 // 0 none, then as below
	f      formation
	worker uint8
	pos    uint8
}

// key orders letters.
func (l letter) key() uint64 {
	return uint64(l.kind)<<24 | uint64(l.f.tok)<<16 | uint64(l.worker)<<8 | uint64(l.pos)
}

const (
	anOrder uint8 = iota + 1
	aStep
	aResult
)

// world is a state of everything.
type world struct {
	leader   uint8 // in etcd; 0: nobody
	record   formation
	d        [2]director
	w        [modelWorkers]hand
	post     [3]letter
	attached uint8 // the coordinator whose stream the client reads; 0: none
	got      uint8 // tokens that it has
	faults   uint8 // that may still happen
}

// rules are the protocol; the zero value is the real one. Each field is a way to
// break it, which the check must find.
type rules struct {
	ignoreRecord   bool // a worker does not look at the record
	ignoreToken    bool // without etcd a worker obeys whoever leads
	anyWriter      bool // the record is written without the leader's guard
	noEpochInSteps bool // a worker computes steps of any epoch
	lateResults    bool // a coordinator takes results of any epoch
	resumeFromZero bool // a client resumes without what it has
	twoStreams     bool // a client still reads the stream that it gave up
	neverMend      bool // an unrecorded epoch goes on beside a later record
}

// explorer walks through all worlds.
type explorer struct {
	bounds
	rules   rules
	seen    map[world]struct{}
	queue   []world
	found   string
	admits  map[admission]bool
	endings int // worlds in which the request was answered
}

// admission is what a worker's decision depends on.
type admission struct {
	member, order, record formation
	worker                uint8
	sees                  bool
}

func secret(tok uint8) []byte {
	if tok == 0 {
		return nil
	}
	return []byte{tok}
}

func workerID(i uint8) string { return fmt.Sprint("w", i) }

// rankOf is a worker's rank among members.
func rankOf(members, worker uint8) (rank int) {
	for i := range worker {
		rank += int(members >> i & 1)
	}
	return rank
}

// admit asks the real code.
func (x *explorer) admit(a admission) bool {
	if yes, known := x.admits[a]; known {
		return yes
	}
	gen, err := registry.Generation{}, error(registry.ErrNoGeneration)
	if a.record.epoch > 0 {
		gen, err = registry.Generation{Group: "0", Epoch: uint64(a.record.epoch), TokenHash: registry.HashToken(secret(a.record.tok))}, nil
		for i := range uint8(modelWorkers) {
			if a.record.members>>i&1 == 1 {
				gen.Ranks = append(gen.Ranks, registry.GenerationRank{WorkerID: workerID(i), Address: "a"})
			}
		}
	}
	if !a.sees {
		err = context.DeadlineExceeded
	}
	last := registry.Membership{Group: "0", Epoch: uint64(a.member.epoch), Token: secret(a.member.tok)}
	if a.member.epoch == 0 {
		last = registry.Membership{}
	}
	_, err = last.Admit(registry.Order{Group: "0", Epoch: uint64(a.order.epoch), Rank: rankOf(a.order.members, a.worker), WorkerID: workerID(a.worker),
		Token: secret(a.order.tok), PreviousToken: secret(a.order.prev)}, gen, err)
	x.admits[a] = err == nil
	return err == nil
}

// go on to a world, unless it has been seen.
func (x *explorer) visit(n world) {
	if _, old := x.seen[n]; old {
		return
	}
	x.seen[n] = struct{}{}
	x.queue = append(x.queue, n)
}

func (x *explorer) violate(format string, args ...any) {
	if x.found == "" {
		x.found = fmt.Sprintf(format, args...)
	}
}

// send puts a letter into the post; false if there is no room.
func (n *world) send(l letter) bool {
	for i := range n.post {
		if n.post[i].kind == 0 {
			n.post[i] = l
			return true
		}
	}
	return false
}

// tidy sorts the post, so that worlds that differ in its order alone are one.
func (n *world) tidy() {
	slices.SortFunc(n.post[:], func(a, b letter) int {
		return cmp.Compare(a.key(), b.key())
	})
}

// restart makes a coordinator's process a fresh one.
func (n *world) restart(c uint8) {
	n.d[c-1] = director{up: true, sees: n.d[c-1].sees, formed: n.d[c-1].formed}
	if n.attached == c {
		n.attached = 0 // the client's stream breaks
	}
}

func (d *director) endEpoch() {
	d.cur, d.prepared, d.running, d.flight, d.replied, d.recorded = formation{}, 0, false, false, 0, false
}

// steps visits all worlds that can follow.
func (x *explorer) steps(s world) {
	for c := uint8(1); c <= 2; c++ {
		x.coordinator(s, c)
	}
	for i := range s.post {
		if s.post[i].kind != 0 {
			x.deliver(s, i)
		}
	}
	for i := range s.w {
		if s.w[i].cur.epoch > 0 && s.faults > 0 { // its streams have ended
			n := s
			n.faults--
			n.w[i].cur, n.w[i].running = formation{}, false
			x.visit(n)
		}
	}
	if s.leader != 0 { // a lease ends that its holder did not refresh
		if d := s.d[s.leader-1]; !d.sees || !d.leads {
			n := s
			n.leader = 0
			x.visit(n)
		}
	}
	for c := uint8(1); c <= 2; c++ { // the client (again) finds who leads
		if d := s.d[c-1]; d.up && d.leads && s.attached != c && s.got < x.tokens && (s.attached == 0 || s.faults > 0) {
			n := s
			if s.attached != 0 {
				n.faults--
			}
			n.attached = c
			n.d[c-1].stream, n.d[c-1].pos, n.d[c-1].flight, n.d[c-1].replied = true, s.got, false, 0
			if x.rules.resumeFromZero {
				n.d[c-1].pos = 0
			}
			x.visit(n)
		}
	}
	if s.faults > 0 {
		for i := range s.d {
			n := s
			n.faults--
			n.d[i].sees = !n.d[i].sees
			x.visit(n)
			n = s
			n.faults--
			n.restart(uint8(i + 1)) // killed, and started again
			x.visit(n)
		}
		for i := range x.workers {
			n := s
			n.faults--
			n.w[i].sees = !n.w[i].sees
			x.visit(n)
		}
	}
}

// coordinator visits what coordinator c may do.
func (x *explorer) coordinator(s world, c uint8) {
	d := s.d[c-1]
	if !d.up {
		return
	}
	if !d.leads && d.sees && s.leader == 0 {
		n := s
		n.leader, n.d[c-1].leads = c, true
		x.visit(n)
	}
	if d.leads && d.sees && s.leader != c { // it hears that it was deposed, and ends
		n := s
		n.restart(c)
		x.visit(n)
	}
	if d.leads && d.cur.epoch == 0 && d.formed < x.formed {
		x.form(s, c, 1) // the first alone; the second alone is the same by symmetry
		if x.workers > 1 {
			x.form(s, c, 1<<x.workers-1)
		}
	}
	if d.cur.epoch > 0 && (x.failing || s.faults > 0) { // the epoch fails
		n := s
		if !x.failing {
			n.faults--
		}
		n.d[c-1].endEpoch()
		x.visit(n)
	}
	if d.cur.epoch > 0 && !d.recorded && d.sees { // recordLater
		n := s
		switch {
		case s.leader != c:
			n.restart(c)
			if x.rules.neverMend {
				n = s
				n.d[c-1].recorded = true
			}
		default:
			known := max(s.record.epoch, d.cur.epoch-1)
			n.record = d.cur
			n.record.epoch = known + 1
			n.d[c-1].recorded = true
			if known+1 != d.cur.epoch && !x.rules.neverMend {
				n.d[c-1].endEpoch()
			}
		}
		if n.record.epoch <= x.epochs {
			x.visit(n)
		}
	}
	if d.cur.epoch > 0 && !d.running && d.prepared == d.cur.members { // linked up by the token
		n := s
		for i := range s.w {
			if d.cur.members>>i&1 == 1 {
				if s.w[i].cur.tok != d.cur.tok {
					return // it has left meanwhile: the epoch will fail
				}
				n.w[i].running = true
			}
		}
		n.d[c-1].running = true
		x.visit(n)
	}
	if d.running && d.stream && !d.flight && d.pos < x.tokens {
		n := s
		ok := true
		for i := range uint8(modelWorkers) {
			if d.cur.members>>i&1 == 1 {
				ok = ok && n.send(letter{kind: aStep, f: d.cur, worker: i, pos: d.pos})
			}
		}
		n.d[c-1].flight, n.d[c-1].replied = true, 0
		if ok {
			n.tidy()
			x.visit(n)
		}
	}
}

// form begins an epoch with the members.
func (x *explorer) form(s world, c, members uint8) {
	n := s
	d := &n.d[c-1]
	d.formed++
	f := formation{tok: c*10 + d.formed, prev: d.last.tok, by: c, members: members}
	switch {
	case d.sees && (s.leader == c || x.rules.anyWriter):
		if s.leader != c {
			x.violate("coordinator %d writes the record while %d leads", c, s.leader)
		}
		f.epoch = max(s.record.epoch, d.last.epoch) + 1
		n.record, d.recorded = f, true
	case d.sees: // ErrNotLeader
		n.restart(c)
		x.visit(n)
		return
	default:
		next, ok := registry.NextUnrecorded(uint64(d.last.epoch), context.DeadlineExceeded)
		if !ok {
			return
		}
		f.epoch, d.recorded = uint8(next), false
	}
	if f.epoch > x.epochs {
		return
	}
	d.last, d.cur, d.prepared, d.running, d.flight = f, f, 0, false, false
	for i := range uint8(modelWorkers) {
		if members>>i&1 == 1 && !n.send(letter{kind: anOrder, f: f, worker: i}) {
			return
		}
	}
	n.tidy()
	x.visit(n)
}

// deliver visits what may become of a letter: it is lost, it arrives, and an order
// may arrive once more.
func (x *explorer) deliver(s world, i int) {
	l := s.post[i]
	gone := s
	gone.post[i] = letter{}
	gone.tidy()
	if s.faults > 0 {
		n := gone
		n.faults--
		x.visit(n)
	}
	n := gone
	w, d := &n.w[l.worker], &n.d[l.f.by-1]
	switch l.kind {
	case anOrder:
		if s.faults > 0 {
			again := s
			again.faults--
			x.order(again, l)
		}
		x.order(n, l)
	case aStep:
		if (w.cur.tok == l.f.tok && w.running) || (x.rules.noEpochInSteps && w.cur.epoch > 0) {
			x.compute(w, l)
			if !n.send(letter{kind: aResult, f: l.f, worker: l.worker, pos: l.pos}) {
				return
			}
		}
		n.tidy()
		x.visit(n)
	case aResult:
		if d.flight && (d.cur.tok == l.f.tok || x.rules.lateResults) && (d.pos == l.pos || x.rules.lateResults) {
			if d.cur.tok != l.f.tok {
				x.violate("a token of epoch %d is taken for one of epoch %d", l.f.epoch, d.cur.epoch)
			}
			if d.replied |= 1 << l.worker; d.replied&d.cur.members == d.cur.members {
				pos := d.pos
				d.flight, d.replied = false, 0
				if d.pos++; n.attached == l.f.by || x.rules.twoStreams && n.attached != 0 && d.stream {
					x.emit(&n, pos)
				}
			}
		}
		x.visit(n)
	}
}

// order is an order that arrives.
func (x *explorer) order(n world, l letter) {
	w := &n.w[l.worker]
	a := admission{member: formation{epoch: w.member.epoch, tok: w.member.tok}, order: l.f, record: n.record, worker: l.worker, sees: w.sees}
	ok := x.admit(a)
	if x.rules.ignoreRecord || x.rules.ignoreToken && !w.sees && l.f.epoch > w.member.epoch {
		ok = true
	}
	if w.cur.epoch >= l.f.epoch { // node.service.take
		ok = false
	}
	if ok {
		if n.record != l.f && w.member.tok != 0 && w.member.tok != l.f.prev {
			x.violate("worker %d goes from epoch %d of coordinator %d to epoch %d of coordinator %d, which is not the record (%+v)",
				l.worker, w.member.epoch, w.member.by, l.f.epoch, l.f.by, n.record)
		}
		w.member, w.cur, w.running = l.f, l.f, false
		if d := &n.d[l.f.by-1]; d.cur.tok == l.f.tok && !d.running {
			d.prepared |= 1 << l.worker
		}
	}
	n.tidy()
	x.visit(n)
}

// compute is a step on a worker: never of an epoch before one that it computed
// for, nor of another formation with the same number.
func (x *explorer) compute(w *hand, l letter) {
	if l.f.epoch < w.did.epoch || l.f.epoch == w.did.epoch && l.f.tok != w.did.tok {
		x.violate("worker %d computes for epoch %d (token %d) after epoch %d (token %d)", l.worker, l.f.epoch, l.f.tok, w.did.epoch, w.did.tok)
	}
	if w.cur.tok != l.f.tok {
		x.violate("worker %d, of epoch %d, computes a step of epoch %d", l.worker, w.cur.epoch, l.f.epoch)
	}
	w.did = formation{epoch: l.f.epoch, tok: l.f.tok}
}

// emit is a token that reaches the client.
func (x *explorer) emit(n *world, pos uint8) {
	if pos != n.got {
		x.violate("the client has %d tokens and gets number %d", n.got, pos)
		return
	}
	n.got++
	if n.got == x.tokens {
		x.endings++
	}
}

// mostWorlds is more than the bounds lead to.
const mostWorlds = 2e6

// explore walks through all worlds that faults can lead to, until one breaks an
// invariant.
func explore(b bounds, r rules) (*explorer, error) {
	x := &explorer{bounds: b, rules: r, seen: map[world]struct{}{}, admits: map[admission]bool{}}
	var s world
	s.faults = b.faults
	for i := range s.d {
		s.d[i].up, s.d[i].sees = true, true
	}
	for i := range s.w {
		s.w[i].sees = true
	}
	x.visit(s)
	for len(x.queue) > 0 && x.found == "" {
		if len(x.seen) > mostWorlds {
			return x, errors.New("too many worlds")
		}
		s := x.queue[0]
		x.queue = x.queue[1:]
		x.steps(s)
	}
	return x, nil
}

// TestEpochModel: no order of events breaks an invariant: a worker never goes over
// to a coordinator without the record, never computes for an epoch behind its
// last, and the client gets every token once, in order.
func TestEpochModel(t *testing.T) {
	for _, b := range []bounds{driving, reading} {
		x, err := explore(b, rules{})
		if err != nil {
			t.Fatalf("%+v: %v", b, err)
		}
		if x.found != "" {
			t.Errorf("%+v: %s", b, x.found)
		}
		if x.endings == 0 {
			t.Errorf("%+v: the request is never answered: the model does nothing", b)
		}
		t.Logf("%+v: %d worlds, %d admissions", b, len(x.seen), len(x.admits))
	}
}

// TestEpochModelFinds: each way to break the protocol is found, so the check can
// fail.
func TestEpochModelFinds(t *testing.T) {
	for _, c := range []struct {
		name string
		rules
		bounds
	}{
		{"a worker does not look at the record", rules{ignoreRecord: true}, driving},
		{"without etcd a worker obeys whoever leads", rules{ignoreToken: true}, driving},
		{"the record is written without the guard", rules{anyWriter: true}, driving},
		{"a worker computes steps of any epoch", rules{noEpochInSteps: true}, driving},
		{"a coordinator takes results of any epoch", rules{lateResults: true}, driving},
		{"a client resumes without what it has", rules{resumeFromZero: true}, reading},
		{"a client still reads the stream that it gave up", rules{twoStreams: true}, reading},
	} {
		x, err := explore(c.bounds, c.rules)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if x.found == "" {
			t.Errorf("%s: not found in %d worlds", c.name, len(x.seen))
		} else {
			t.Logf("%s: %s (after %d worlds)", c.name, x.found, len(x.seen))
		}
	}
}
