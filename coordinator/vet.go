package coordinator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// How long the answer to one look at a worker's certificate holds, and how long
// one may take.
const (
	vetAgain   = 10 * time.Second
	vetRefused = 2 * time.Second // one that was refused may have been put right
	vetTimeout = 5 * time.Second
)

// vetter finds out whether workers' certificates are accepted, here and by them,
// before a group counts on them: anyone who can write to etcd can register, and
// an epoch must not end for a worker that could never join the next.
type vetter struct {
	ctx      context.Context
	security *nodetls.Source
	log      *slog.Logger

	mu     sync.Mutex
	known  map[string]*vetted // by worker id
	looked sync.WaitGroup
}

// vetted is what is known of a worker at an address.
type vetted struct {
	address string
	refused string // why it cannot join; "": it can
	due     time.Time
	looking bool
}

// newVetter returns nil where nodes have no certificates: then there is nothing
// to vet. ctx bounds its looks.
func newVetter(ctx context.Context, security *nodetls.Source, log *slog.Logger) *vetter {
	if security == nil {
		return nil
	}
	return &vetter{ctx: ctx, security: security, log: log, known: map[string]*vetted{}}
}

// refused says why a worker cannot join, or "". It does not wait: a worker that is
// new is looked at meanwhile.
func (v *vetter) refused(w registry.Worker) string {
	if v == nil {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	k := v.known[w.ID]
	if k == nil || k.address != w.Address {
		v.forget(now)
		k = &vetted{address: w.Address, refused: "its certificate is being checked"}
		v.known[w.ID] = k
	}
	if !k.looking && now.After(k.due) && v.ctx.Err() == nil {
		k.looking = true
		v.looked.Go(func() { v.look(w, k) })
	}
	return k.refused
}

// forget drops workers that nobody has asked about for long. mu is held.
func (v *vetter) forget(now time.Time) {
	for id, k := range v.known {
		if !k.looking && now.Sub(k.due) > 10*vetAgain {
			delete(v.known, id)
		}
	}
}

// look calls a worker over a connection of its own, since one that stands proves
// nothing about certificates that have changed.
func (v *vetter) look(w registry.Worker, k *vetted) {
	ctx, cancel := context.WithTimeout(v.ctx, vetTimeout)
	defer cancel()
	err := v.call(ctx, w.Address)
	v.mu.Lock()
	defer v.mu.Unlock()
	before := k.refused
	k.looking, k.refused, k.due = false, "", time.Now().Add(vetAgain)
	// Any other failure says nothing about certificates; forming a group deals
	// with it.
	if status.Code(err) == codes.Unauthenticated {
		k.refused, k.due = status.Convert(err).Message(), time.Now().Add(vetRefused)
		if k.refused != before {
			v.log.Warn("worker cannot join", "worker", w.ID, "address", w.Address, "err", k.refused)
		}
	}
}

func (v *vetter) call(ctx context.Context, address string) error {
	conn, err := grpc.NewClient("passthrough:///"+address, v.security.DialOptions()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = clusterv1.NewWorkerServiceClient(conn).GetStatus(ctx, &clusterv1.GetStatusRequest{})
	return err
}

// wait returns when no look is under way; ctx has ended.
func (v *vetter) wait() {
	if v == nil {
		return
	}
	v.mu.Lock() // whoever has it after us sees that ctx has ended
	v.mu.Unlock()
	v.looked.Wait()
}
