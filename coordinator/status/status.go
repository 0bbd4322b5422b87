// Package status is what a coordinator tells about its cluster, as JSON under
// GET /cluster/status. `sullae status` prints it.
package status

// Cluster is the whole answer.
type Cluster struct {
	Version     string `json:"version"`
	Cluster     string `json:"cluster"`
	Coordinator string `json:"coordinator"` // id
	// NodeCertificateExpires is when the coordinator's own certificate for other nodes
	// does (RFC 3339); "" where it has none.
	NodeCertificateExpires string   `json:"node_certificate_expires,omitempty"`
	OpsAddress             string   `json:"ops_address,omitempty"`
	Model                  Model    `json:"model"`
	Group                  Group    `json:"group"`   // all groups together
	Groups                 []Group  `json:"groups"`  // each
	Workers                []Worker `json:"workers"` // ranks first, in order, then the others
	Traffic                Traffic  `json:"traffic"`
	Events                 []Event  `json:"events"` // the latest, oldest first
}

// Traffic counts since the process began.
type Traffic struct {
	Requests         int64 `json:"requests"`
	PromptTokens     int64 `json:"prompt_tokens"`
	GenerationTokens int64 `json:"generation_tokens"`
}

// Event is something that happened to a group or a worker.
type Event struct {
	UnixMs int64  `json:"unix_ms"`
	Kind   string `json:"kind"` // "forming", "serving", "ended", "lost"
	Group  string `json:"group,omitempty"`
	Epoch  uint64 `json:"epoch,omitempty"`
	Worker string `json:"worker,omitempty"` // that was lost
	Text   string `json:"text,omitempty"`
}

// Model is what is served.
type Model struct {
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	CheckpointID string `json:"checkpoint_id"`
	MaxModelLen  int    `json:"max_model_len"`
}

// Group is a group's state, or that of several: they serve if one does, the rest
// is their sum, Epoch and Step are the first one's.
type Group struct {
	Name          string `json:"name,omitempty"`
	Phase         string `json:"phase"` // "waiting", "loading", "serving", "closed"
	Reason        string `json:"reason,omitempty"`
	Epoch         uint64 `json:"epoch"`
	Step          uint64 `json:"step"`
	WorldSize     int    `json:"world_size"`
	WorkersWanted int    `json:"workers_wanted"`
	Running       int    `json:"sequences_running"`
	Waiting       int    `json:"sequences_waiting"`
	KVBlocksFree  int    `json:"kv_blocks_free"`
	KVBlocksTotal int    `json:"kv_blocks_total"`
	KVType        string `json:"kv_type"` // "f32", "f16", "bf16", "q8"
}

// Join adds another group.
func (g *Group) Join(o Group) {
	if o.Phase == "serving" && g.Phase != "serving" {
		g.Phase, g.Reason = o.Phase, o.Reason
	}
	g.WorldSize += o.WorldSize
	g.WorkersWanted += o.WorkersWanted
	g.Running += o.Running
	g.Waiting += o.Waiting
	g.KVBlocksFree += o.KVBlocksFree
	g.KVBlocksTotal += o.KVBlocksTotal
}

// Worker is one registered worker.
type Worker struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	// OpsAddress is where its probes and metrics are.
	OpsAddress string `json:"ops_address,omitempty"`
	Version    string `json:"version"`
	Backend    string `json:"backend"` // "cpu/avx2"
	Threads    int    `json:"threads"`
	Host       string `json:"host"`
	PID        int    `json:"pid"`
	Health     string `json:"health"` // "alive", "dead"
	Group      string `json:"group,omitempty"`
	Rank       int    `json:"rank"` // -1: in no group
	// Heads, FFN and Vocab are the half-open ranges of the rank's share.
	Heads       [2]int `json:"heads"`
	FFN         [2]int `json:"ffn"`
	Vocab       [2]int `json:"vocab"`
	WeightBytes int64  `json:"weight_bytes"`
	KVBytes     int64  `json:"kv_bytes"`
	LoadedBytes int64  `json:"loaded_bytes"`
	// LoadedFrom is how many bytes were loaded for the epoch, by where they came
	// from: "cache", "folder", "peer", "coordinator"; the rest was in memory.
	LoadedFrom map[string]int64 `json:"loaded_from,omitempty"`
	// Milliseconds of a step that the rank computes, and that it spends in
	// collectives, which is waiting for the slowest, mostly; averages.
	ComputeMs float64 `json:"compute_ms"`
	WaitMs    float64 `json:"wait_ms"`
	// BlockedMs is the part of WaitMs in which a peer's part was missing; the rest
	// goes to moving and adding.
	BlockedMs float64 `json:"blocked_ms"`
	BytesSent int64   `json:"bytes_sent"` // to its peers, in this epoch
	// Pace is the measured speed that shares are dealt by, relative to most workers; 0:
	// not measured, or the operator has said.
	Pace float64 `json:"pace,omitempty"`
	// Refused says why the worker cannot join: its version, its certificate, its arithmetic class.
	Refused string `json:"refused,omitempty"`
	// Drained: an operator keeps it out ("sullae drain").
	Drained bool `json:"drained,omitempty"`
	// Straggler: its own work takes much longer than the others'.
	Straggler bool `json:"straggler,omitempty"`
}
