package registry_test

import (
	"context"
	"flag"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/collective/registry"
)

func TestMain(m *testing.M) {
	// The tests wait for leases most of the time: more of them than there are
	// cores can do so at once.
	flag.Parse()
	flag.Set("test.parallel", "5")
	goleak.VerifyTestMain(m)
}

// store is what a Registry is opened on: etcd, or its twin. The suite is run
// over both, the twin in a synctest bubble.
type store interface {
	open(registry.Config) *registry.Registry
	ttl() time.Duration
	outage() time.Duration // how long a test keeps the store away
	// patience is for what should happen at once. In real time that depends on
	// what else the machine does.
	patience() time.Duration
	setAway(bool)
	whileAway(func())
	wipe()
	dropLeases()
	compact()
	put(key, value string)
	delete(key string)
	keys(prefix string) []string
}

type memoryStore struct {
	t *testing.T
	*registry.Memory
}

func (m memoryStore) open(cfg registry.Config) *registry.Registry {
	m.t.Helper()
	r, err := m.Open(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { r.Close() })
	return r
}

func (m memoryStore) ttl() time.Duration      { return 10 * time.Second }
func (m memoryStore) outage() time.Duration   { return 120 * time.Second }
func (m memoryStore) patience() time.Duration { return 5 * time.Second }
func (m memoryStore) setAway(away bool)       { m.SetAway(away) }
func (m memoryStore) whileAway(f func())      { f() }
func (m memoryStore) wipe()                   { m.Wipe() }
func (m memoryStore) dropLeases()             { m.DropLeases() }
func (m memoryStore) compact()                { m.Compact() }
func (m memoryStore) put(key, value string)   { m.Put(key, value) }
func (m memoryStore) delete(key string)       { m.Delete(key) }

func (m memoryStore) keys(prefix string) []string { return m.Keys(prefix) }

// both runs a test over the twin and over etcd.
func both(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, newBench(t, memoryStore{t, registry.NewMemory()}))
		})
	})
	t.Run("etcd", func(t *testing.T) { f(t, newBench(t, newRealEtcd(t, nil))) })
}

// bench is a store with what a test does to it.
type bench struct {
	store
	t   *testing.T
	log *syncBuffer
	ctx context.Context
}

func newBench(t *testing.T, s store) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	return &bench{store: s, t: t, log: &syncBuffer{}, ctx: ctx}
}

// process opens a Registry as another process would.
func (b *bench) process() *registry.Registry {
	return b.open(registry.Config{TTL: b.ttl(), Logger: slog.New(slog.NewTextHandler(b.log, nil))})
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// soon fails the test if cond does not hold as soon as it should with a store that
// is well.
func (b *bench) soon(what string, cond func() bool) {
	b.t.Helper()
	b.within(b.patience(), what, cond)
}

func (b *bench) within(d time.Duration, what string, cond func() bool) {
	b.t.Helper()
	for end := time.Now().Add(d); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not within %v: %s\nlog:\n%s", d, what, b.log)
		}
	}
}

func (b *bench) register(r *registry.Registry, id string) *registry.Registration[registry.Worker] {
	b.t.Helper()
	g, err := r.RegisterWorker(b.ctx, worker(id))
	b.must(err)
	return g
}

func worker(id string) registry.Worker {
	return registry.Worker{ID: id, Address: id + ":7000", Hostname: "host-" + id, PID: 42, Capacity: 1, Class: "f32"}
}

// latest keeps the last value that a channel gave.
type latest[T any] struct {
	mu     sync.Mutex
	value  T
	count  int
	closed bool
}

func follow[T any](ch <-chan T) *latest[T] {
	l := &latest[T]{}
	go func() {
		for v := range ch {
			l.mu.Lock()
			l.value = v
			l.count++
			l.mu.Unlock()
		}
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
	}()
	return l
}

func (l *latest[T]) get() (value T, count int, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value, l.count, l.closed
}

func ids(ws []registry.Worker) string {
	var out []string
	for _, w := range ws {
		out = append(out, w.ID)
	}
	return strings.Join(out, " ")
}

// seen tells whether the watched workers are those named.
func seen(l *latest[[]registry.Worker], want string) func() bool {
	return func() bool {
		ws, n, _ := l.get()
		return n > 0 && ids(ws) == want
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
