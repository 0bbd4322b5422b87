package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/collective/reload"
	"github.com/sullae/sullae/coordinator/gateway"
)

// Guard knows the API keys. A nil *Guard lets everybody in.
type Guard struct {
	log    *slog.Logger
	now    func() time.Time
	file   *reload.Value[map[[sha256.Size]byte]Key]
	denied *prometheus.CounterVec

	mu     sync.Mutex
	quotas map[string]*quota // by key's name
}

// NewGuard reads the file of keys and keeps to what it says while it changes; ""
// gives nil.
func NewGuard(path string, log *slog.Logger, reg prometheus.Registerer) (*Guard, error) {
	if path == "" {
		return nil, nil
	}
	g := &Guard{log: log, now: time.Now, quotas: map[string]*quota{}}
	g.denied = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sullae_auth_denied_total", Help: "Calls refused for their API key.",
	}, []string{"reason"})
	for _, r := range []string{"missing", "unknown", "expired", "forbidden"} {
		g.denied.WithLabelValues(r)
	}
	reg.MustRegister(g.denied)
	var err error
	g.file, err = reload.New(reload.Config[map[[sha256.Size]byte]Key]{
		Files: []string{path},
		Load: func() (map[[sha256.Size]byte]Key, error) {
			f, err := ReadFile(path)
			return f.byHash(), err
		},
		Changed: func(keys map[[sha256.Size]byte]Key) { log.Info("API keys read again", "keys", len(keys)) },
		Broken: func(err error, keys map[[sha256.Size]byte]Key) {
			log.Error("the file of API keys cannot be used; the keys before stay in use", "err", err, "keys", len(keys))
		},
	})
	if err != nil {
		return nil, err
	}
	log.Info("API keys are needed", "keys", len(g.file.Last()))
	return g, nil
}

// byHash finds keys by their hash: a lookup in a map takes time that says nothing
// about the key, since what is compared is a hash.
func (f File) byHash() map[[sha256.Size]byte]Key {
	m := map[[sha256.Size]byte]Key{}
	for _, k := range f.Keys {
		var h [sha256.Size]byte
		hex.Decode(h[:], []byte(k.SHA256))
		m[h] = k
	}
	return m
}

// Watch takes up changes of the file until ctx ends.
func (g *Guard) Watch(ctx context.Context) error {
	if g != nil {
		g.file.Watch(ctx)
	}
	return nil
}

// refusal is an error for a caller, counted under its reason.
func (g *Guard) refusal(reason string, err error) error {
	g.denied.WithLabelValues(reason).Inc()
	return err
}

// identify finds the key in an Authorization header's value.
func (g *Guard) identify(authorization string) (Key, error) {
	scheme, secret, _ := strings.Cut(authorization, " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "bearer") || secret == "" {
		return Key{}, g.refusal("missing", fmt.Errorf("%w: send it as the header \"Authorization: Bearer KEY\"", gateway.ErrUnauthenticated))
	}
	k, ok := g.file.Get()[sha256.Sum256([]byte(secret))]
	switch {
	case !ok:
		return Key{}, g.refusal("unknown", fmt.Errorf("%w: the one given is not known here", gateway.ErrUnauthenticated))
	case k.Expires != nil && g.now().After(*k.Expires):
		return Key{}, g.refusal("expired", fmt.Errorf("%w: the key %s expired on %s", gateway.ErrUnauthenticated, k.Name, k.Expires.Format(time.RFC3339)))
	}
	return k, nil
}

// caller is the key's owner to the gateway.
func (g *Guard) caller(k Key, via, remote string) gateway.Caller {
	g.mu.Lock()
	q := g.quotas[k.Name]
	if q == nil {
		q = &quota{name: k.Name}
		g.quotas[k.Name] = q
	}
	g.mu.Unlock()
	q.mu.Lock()
	q.limits = k.Limits
	q.mu.Unlock()
	return gateway.Caller{Name: k.Name, Admin: k.Admin, Via: via, Remote: remote, MinPriority: k.MinPriority, Quota: q}
}

// Named is the owner of the key of that name, for what is done later in its name;
// nil where no keys are needed. A key that is gone has no limits any more.
func (g *Guard) Named() func(name string) gateway.Caller {
	if g == nil {
		return nil
	}
	return func(name string) gateway.Caller {
		for _, k := range g.file.Get() {
			if k.Name == name {
				return g.caller(k, "batch", "")
			}
		}
		return gateway.Caller{Name: name, Via: "batch"}
	}
}
