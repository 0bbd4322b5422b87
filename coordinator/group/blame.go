package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// How long an epoch's failure is looked into: for the rank that others only
// witness to have failed, for more ranks that cannot reach a peer, and for an
// answer of those that are named.
const (
	witnessTime   = 500 * time.Millisecond
	complaintTime = 100 * time.Millisecond
	answerTime    = 150 * time.Millisecond
)

// complaint is a rank's word that it cannot reach another.
type complaint struct{ by, of int }

// failure names the rank that ended the epoch. A rank that only lost a peer is
// a witness: the lost one is looked for among the other streams for a moment. Where
// ranks cannot reach each other, one of them is to blame.
func (g *Group) failure(ctx context.Context, e *epoch, first rankResult) error {
	var complaints []complaint
	describe := func(r rankResult) (err error, sure bool) {
		id := e.members[r.rank].ID
		if r.err != nil {
			return &rankError{worker: id, lost: true, err: plain(r.err)}, true
		}
		er := r.msg.GetError()
		if of := e.rank(er.GetUnreachable()); of >= 0 {
			complaints = append(complaints, complaint{r.rank, of})
		}
		witness := er.GetKind() == clusterv1.RunError_KIND_PEER_LOST || er.GetKind() == clusterv1.RunError_KIND_TIMEOUT
		return &rankError{worker: id, sequence: er.GetSequence(), err: errors.New(er.GetMessage())}, !witness
	}
	err, sure := describe(first)
	deadline, answers := time.After(witnessTime), (<-chan []bool)(nil)
	for !sure {
		if complaints != nil && answers == nil {
			deadline, answers = time.After(complaintTime), g.ask(ctx, e)
		}
		select {
		case r := <-e.results:
			if r.msg.GetResult() != nil {
				continue
			}
			// A stream that merely ends after its error says nothing new.
			if r.rank == first.rank || errors.Is(r.err, io.EOF) {
				continue
			}
			if e2, s := describe(r); s || complaints != nil && answers == nil {
				err, sure = e2, s
			}
		case <-deadline:
			if complaints != nil {
				return e.blame(g.work(e.plan), complaints, <-answers, err)
			}
			return err
		}
	}
	return err
}

// rank is a worker's rank, or -1.
func (e *epoch) rank(worker string) int {
	for r, w := range e.members {
		if w.ID == worker {
			return r
		}
	}
	return -1
}

// blame says who is to be left out where ranks cannot reach each other: one that
// does not answer this coordinator either, else the one that the most are apart
// from, with the least work (by rank), of the highest rank.
func (e *epoch) blame(work []float64, complaints []complaint, answers []bool, why error) error {
	apart := make([]map[int]bool, len(e.members))
	for _, c := range complaints {
		for _, pair := range [][2]int{{c.by, c.of}, {c.of, c.by}} {
			if apart[pair[0]] == nil {
				apart[pair[0]] = map[int]bool{}
			}
			apart[pair[0]][pair[1]] = true
		}
	}
	out := -1
	for r := range e.members {
		switch {
		case apart[r] == nil:
		case !answers[r]:
			return &rankError{worker: e.members[r].ID, lost: true, err: fmt.Errorf("it does not answer: %w", why)}
		case out < 0 || len(apart[r]) > len(apart[out]) || len(apart[r]) == len(apart[out]) && work[r] <= work[out]:
			out = r
		}
	}
	re := &rankError{worker: e.members[out].ID, lost: true, err: why}
	for p := range e.members {
		if apart[out][p] {
			re.apart = append(re.apart, e.members[p].ID)
		}
	}
	return re
}

// ask asks all of an epoch's workers directly whether they are there, at the same
// time; the answers, by rank, come when all have answered or answerTime has passed.
func (g *Group) ask(ctx context.Context, e *epoch) <-chan []bool {
	answered, out := make([]bool, len(e.members)), make(chan []bool, 1)
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	var wg sync.WaitGroup
	for r, w := range e.members {
		wg.Go(func() {
			for first := true; !answered[r] && (first || pauseFor(ctx, 20*time.Millisecond) == nil); first = false {
				switch {
				case g.cfg.Dead != nil && g.cfg.Dead(w.ID):
					return
				case g.cfg.Answers == nil || g.cfg.Answers(w.ID):
					answered[r] = true
				}
			}
		})
	}
	go func() { wg.Wait(); cancel(); out <- answered }()
	return out
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
