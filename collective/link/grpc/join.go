package grpclink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/link"
)

// Formation is a group that is to be formed, as every rank must know it.
type Formation struct {
	Group     string
	Epoch     uint64
	Rank      int
	WorldSize int
	Peers     []string // host:port (or unix:path) of every rank's server, by rank
	Token     []byte   // a secret of the epoch; ranks with another one are refused
	collective.Tuning
}

func (f *Formation) check() error {
	switch {
	case f.Group == "" || len(f.Group) > maxGroupBytes:
		return fmt.Errorf("group name %q: want 1 to %d bytes", f.Group, maxGroupBytes)
	case f.Epoch == 0:
		return errors.New("epoch 0: epochs start at 1")
	case f.WorldSize < 1 || f.Rank < 0 || f.Rank >= f.WorldSize:
		return fmt.Errorf("rank %d of %d", f.Rank, f.WorldSize)
	case f.WorldSize > 1 && len(f.Peers) != f.WorldSize:
		return fmt.Errorf("%d addresses for %d ranks", len(f.Peers), f.WorldSize)
	}
	return nil
}

// Member is this process's rank in a formed group.
type Member struct {
	*collective.Group
	f *formation
}

// Close leaves the group. The hub keeps the connections for the next epoch.
func (m *Member) Close() error {
	m.f.leave()
	return nil
}

// Join forms the group f together with the other ranks' Joins: it dials lower
// ranks and awaits higher ones until ctx ends, or for collective.DefaultTimeout if
// ctx has no deadline; then the error is an ErrTimeout that names the ranks that
// are missing. An epoch that is not higher than all those joined for the group is
// an ErrMismatch. Joining ends this hub's part in the group's older epochs.
func (h *Hub) Join(ctx context.Context, f Formation) (collective.Communicator, error) {
	fail := func(err error) (collective.Communicator, error) {
		return nil, fmt.Errorf("join group %s epoch %d as rank %d: %w", f.Group, f.Epoch, f.Rank, err)
	}
	if err := f.check(); err != nil {
		return fail(err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, collective.DefaultTimeout)
		defer stop()
	}

	fm := &formation{Formation: f, hub: h, taken: make([]bool, f.WorldSize), links: make([]link.Link, f.WorldSize),
		up: make(chan struct{}, 1), why: make([]error, f.WorldSize)}
	fm.ctx, fm.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := h.begin(fm); err != nil {
		fm.cancel()
		return fail(err)
	}
	if err := fm.form(ctx); err != nil {
		fm.leave()
		return fail(err)
	}
	h.opts.Logger.Info("group formed", "group", f.Group, "epoch", f.Epoch, "rank", f.Rank, "ranks", f.WorldSize, "through_memory", fm.local)
	return &Member{Group: fm.group, f: fm}, nil
}

// begin makes fm the group's current formation and ends the one before.
func (h *Hub) begin(fm *formation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return collective.ErrClosed
	}
	if top := h.highest[fm.Group]; fm.Epoch <= top {
		return fmt.Errorf("%w: epoch %d is not newer than epoch %d", collective.ErrMismatch, fm.Epoch, top)
	}
	keep := map[string]bool{}
	if old := h.current[fm.Group]; old != nil {
		h.wg.Go(old.leave)
		for _, addr := range old.Peers { // it still has to say goodbye
			keep[addr] = true
		}
	}
	h.highest[fm.Group] = fm.Epoch
	h.current[fm.Group] = fm
	for _, f := range h.current {
		for _, addr := range f.Peers {
			keep[addr] = true
		}
	}
	h.conns.keep(keep)
	h.notify()
	return nil
}

// form makes the links and the group.
func (f *formation) form(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var dialers sync.WaitGroup
	for p := range f.Rank {
		dialers.Go(func() {
			if err := f.dial(ctx, p); err != nil {
				cancel(err)
			}
		})
	}
	defer dialers.Wait()
	defer cancel(nil)
	for {
		if done, err := f.seal(); done || err != nil {
			return err
		}
		select {
		case <-f.up:
		case <-f.ctx.Done():
			return collective.ErrClosed
		case <-ctx.Done():
			why := context.Cause(ctx)
			if errors.Is(why, context.DeadlineExceeded) {
				why = fmt.Errorf("%w: %w", collective.ErrTimeout, why)
			}
			return fmt.Errorf("%w: %s", why, strings.Join(f.missing(), "; "))
		}
	}
}

// spin is how long ranks of one host that have a processor each wait awake, giving
// way to other processes: longer than their work for one collective of a decoding step
// differs by, even where one of them lost its processor for a time slice.
const spin = 5 * time.Millisecond

// seal turns the links into a group, once there are all.
func (f *formation) seal() (done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false, collective.ErrClosed
	}
	local := 0
	for p, l := range f.links {
		if l == nil && p != f.Rank {
			return false, nil
		}
		if _, ok := l.(link.Polled); ok {
			local++
		}
	}
	if f.local = local; local < f.hub.opts.SpinRanks {
		f.Spin = spin
	}
	f.group, err = collective.NewGroup(collective.Config{Group: f.Group, Epoch: f.Epoch, Rank: f.Rank,
		WorldSize: f.WorldSize, Tuning: f.Tuning}, f.links)
	return err == nil, err
}

// missing says which links are missing, and why.
func (f *formation) missing() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, l := range f.links {
		switch {
		case p == f.Rank || l != nil:
		case f.why[p] != nil:
			out = append(out, fmt.Sprintf("rank %d at %s: %v", p, f.Peers[p], f.why[p]))
		case p < f.Rank:
			out = append(out, fmt.Sprintf("rank %d at %s does not answer", p, f.Peers[p]))
		default:
			out = append(out, fmt.Sprintf("rank %d at %s has not called", p, f.Peers[p]))
		}
	}
	return out
}
