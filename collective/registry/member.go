package registry

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// ProtocolVersion is that of proto/sullae/cluster/v1 which this build speaks.
// Coordinator and workers must have the same.
const ProtocolVersion = 2

// Draining is the State of a worker that is about to leave: no group takes it,
// and one that has it forms anew without it.
const Draining = "draining"

// Worker is what a worker tells about itself. Everything but State and
// CheckpointID stays as it was when the process started.
type Worker struct {
	// ID names the worker for as long as its data lives: a restarted process
	// has the same one. At most one process holds it at a time.
	ID string `json:"id"`
	// Address is the host:port of its gRPC server, GossipAddress that of
	// memberlist, as others reach them.
	Address       string `json:"address"`
	GossipAddress string `json:"gossip_address,omitempty"`
	// OpsAddress is where its probes and metrics are, or empty.
	OpsAddress string `json:"ops_address,omitempty"`
	// Version is the release, ProtocolVersion that of sullae.cluster.v1.
	Version         string `json:"version"`
	ProtocolVersion int    `json:"protocol_version"`
	// Backend does the arithmetic ("cpu"), in a variant ("avx2"). Workers of
	// one Class give the same bits; a group holds one class.
	Backend string `json:"backend"`
	Variant string `json:"variant,omitempty"`
	Class   string `json:"class"`

	Threads     int   `json:"threads"`
	MemoryBytes int64 `json:"memory_bytes"`
	// Capacity is the speed relative to other workers; 0 means not known.
	Capacity float64 `json:"capacity"`

	Hostname string `json:"hostname,omitempty"`
	// Device tells apart what of a host has memory of its own: a GPU's UUID, or empty for
	// the host's.
	Device        string `json:"device,omitempty"`
	PID           int    `json:"pid,omitempty"`
	StartedUnixMs int64  `json:"started_unix_ms,omitempty"`
	// CheckpointID is the checkpoint that it can read by itself, or empty.
	CheckpointID string `json:"checkpoint_id,omitempty"`
	State        string `json:"state,omitempty"`
	// Instance tells processes with one ID apart. Set by RegisterWorker.
	Instance string `json:"instance"`
}

// Coordinator is what a coordinator tells about itself.
type Coordinator struct {
	ID string `json:"id"`
	// Address is where workers fetch weights, GossipAddress memberlist's,
	// GRPCAddress and HTTPAddress the APIs', each host:port or empty.
	Address       string `json:"address,omitempty"`
	GossipAddress string `json:"gossip_address,omitempty"`
	GRPCAddress   string `json:"grpc_address,omitempty"`
	HTTPAddress   string `json:"http_address,omitempty"`
	// ForwardKey is that by which other coordinators say to this one whose
	// connections they pass on to it. A secret of those who may read etcd.
	ForwardKey string `json:"forward_key,omitempty"`
	// Serves is all that answers depend on: another coordinator of which it differs
	// would give others.
	Serves string `json:"serves,omitempty"`

	Version         string `json:"version"`
	ProtocolVersion int    `json:"protocol_version"`
	Hostname        string `json:"hostname,omitempty"`
	PID             int    `json:"pid,omitempty"`
	StartedUnixMs   int64  `json:"started_unix_ms,omitempty"`
	State           string `json:"state,omitempty"`
	// Instance tells processes with one ID apart. Set by RegisterCoordinator.
	Instance string `json:"instance"`
}

// Member is what registers itself under a lease.
type Member interface {
	Worker | Coordinator
	validate() error
	id() string
	instance() string
	describe() string
}

func (w Worker) id() string            { return w.ID }
func (w Worker) instance() string      { return w.Instance }
func (c Coordinator) id() string       { return c.ID }
func (c Coordinator) instance() string { return c.Instance }

func (w Worker) describe() string {
	return fmt.Sprintf("worker %q (pid %d on %s, %s)", w.ID, w.PID, w.Hostname, w.Address)
}

func (c Coordinator) describe() string {
	return fmt.Sprintf("coordinator %q (pid %d on %s, %s)", c.ID, c.PID, c.Hostname, c.GRPCAddress)
}

// validate tells what others could not live with.
func (w Worker) validate() error {
	if err := checkName("worker id", w.ID); err != nil {
		return err
	}
	switch {
	case w.Address == "":
		return errors.New("registry: worker has no address")
	case w.Capacity < 0 || math.IsInf(w.Capacity, 0) || math.IsNaN(w.Capacity):
		return fmt.Errorf("registry: worker %s has capacity %v", w.ID, w.Capacity)
	case w.Threads < 0 || w.MemoryBytes < 0:
		return fmt.Errorf("registry: worker %s has %d threads, %d bytes", w.ID, w.Threads, w.MemoryBytes)
	}
	return nil
}

func (c Coordinator) validate() error { return checkName("coordinator id", c.ID) }

// withInstance sets the instance of a record of either type.
func withInstance[M Member](m M, instance string) M {
	switch m := any(&m).(type) {
	case *Worker:
		m.Instance = instance
	case *Coordinator:
		m.Instance = instance
	}
	return m
}

// decodeMember is decode, and checks that the record is the key's.
func decodeMember[M Member](key string, value []byte) (M, error) {
	m, err := decode[M](key, value)
	if err == nil && key[strings.LastIndexByte(key, '/')+1:] != m.id() {
		return m, fmt.Errorf("registry: %s: %w: the record is of %q", key, ErrMalformed, m.id())
	}
	return m, err
}
