package registry

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a store within the process that behaves as etcd does, for tests:
// revisions, leases that lapse, watches, compaction, and the ways in which etcd
// fails. It reads no clock but time's, so it lives in a synctest bubble. Every
// Registry opened on it is like another process.
type Memory struct {
	mu        sync.Mutex
	revision  int64
	compacted int64 // history up to here can't be watched any more
	entries   map[string]entry
	history   []event // by modRevision
	leases    map[leaseID]*memoryLease
	lastLease leaseID
	changed   chan struct{} // closed and replaced at each change
	back      chan struct{} // nil, or closed when the store is back
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		revision: 1, // as in an etcd that nobody has written to
		entries:  map[string]entry{},
		leases:   map[leaseID]*memoryLease{},
		changed:  make(chan struct{}),
	}
}

// Open returns a Registry on the store. Of cfg only Prefix, Cluster, TTL and
// Logger matter.
func (m *Memory) Open(cfg Config) (*Registry, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return newRegistry(&memoryBackend{m: m}, cfg), nil
}

// CutOff parts one Registry from the store, or joins it again, while others
// reach it: its calls wait and its watches are silent, but its leases lapse.
func (m *Memory) CutOff(r *Registry, cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := r.backend.(*memoryBackend)
	switch {
	case cut && b.back == nil:
		b.back = make(chan struct{})
	case !cut && b.back != nil:
		close(b.back)
		b.back = nil
	}
}

// SetAway makes the store unreachable, or brings it back. While it is away calls
// wait for their deadline, watches are silent, and leases do not lapse; when it
// is back they have their full time again, as after an election among etcds.
func (m *Memory) SetAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case away && m.back == nil:
		m.back = make(chan struct{})
		for _, l := range m.leases {
			l.timer.Stop()
		}
	case !away && m.back != nil:
		for _, l := range m.leases {
			l.extend()
		}
		close(m.back)
		m.back = nil
	}
}

// Wipe loses all data, as an etcd does that starts again on an empty disk.
// Watches notice nothing: their revisions lie in a future that may never come.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.leases {
		l.timer.Stop()
	}
	clear(m.leases)
	clear(m.entries)
	m.history, m.revision, m.compacted = nil, 1, 0
}

// DropLeases ends all leases and deletes their keys.
func (m *Memory) DropLeases() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.leases {
		m.drop(id)
	}
}

// Compact forgets all history. Watches that have seen it all go on.
func (m *Memory) Compact() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.compacted, m.history = m.revision, nil
}

// Keys lists the keys that start with prefix, sorted.
func (m *Memory) Keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range m.below(prefix) {
		out = append(out, e.key)
	}
	return out
}

// Put writes a key, whatever it says, as etcdctl would; Delete deletes one.
func (m *Memory) Put(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(change{key: key, value: []byte(value)})
}

// Delete is described at Put.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(change{key: key, delete: true})
}

// apply makes changes as one revision. mu is held.
func (m *Memory) apply(changes ...change) {
	changes = slices.DeleteFunc(changes, func(c change) bool {
		_, exists := m.entries[c.key]
		return c.delete && !exists
	})
	if len(changes) == 0 {
		return
	}
	m.revision++
	for _, c := range changes {
		old := m.entries[c.key]
		if c.delete {
			delete(m.entries, c.key)
			m.history = append(m.history, event{entry{key: c.key, modRevision: m.revision}, true})
			continue
		}
		e := entry{c.key, bytes.Clone(c.value), old.createRevision, m.revision, c.lease}
		if e.createRevision == 0 {
			e.createRevision = m.revision
		}
		m.entries[c.key] = e
		m.history = append(m.history, event{e, false})
	}
	m.notify()
}

// notify wakes the watches. mu is held.
func (m *Memory) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// below lists the entries under prefix, sorted by key. mu is held.
func (m *Memory) below(prefix string) []entry {
	var out []entry
	for k, e := range m.entries {
		if strings.HasPrefix(k, prefix) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return out
}

// memoryLease is a lease; its fields are guarded by the store's mu.
type memoryLease struct {
	ttl      time.Duration
	deadline time.Time
	timer    *time.Timer
}

// extend gives the lease its full time.
func (l *memoryLease) extend() {
	l.deadline = time.Now().Add(l.ttl)
	l.timer.Reset(l.ttl)
}

// expire is called by the timer of a lease.
func (m *Memory) expire(id leaseID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases[id]
	// The timer may have fired just before it was stopped or reset.
	if l != nil && m.back == nil && !time.Now().Before(l.deadline) {
		m.drop(id)
	}
}

// drop ends a lease and deletes its keys. mu is held.
func (m *Memory) drop(id leaseID) {
	m.leases[id].timer.Stop()
	delete(m.leases, id)
	var gone []change
	for k, e := range m.entries {
		if e.lease == id {
			gone = append(gone, change{key: k, delete: true})
		}
	}
	m.apply(gone...)
}
