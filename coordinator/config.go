// Package coordinator is the coordinator's process: it opens the model, finds
// workers through etcd and memberlist, forms them into a group, and serves the
// APIs. The parts are in the packages below it; this one wires them and owns
// their lives.
package coordinator

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/audit"
	"github.com/sullae/sullae/coordinator/edge"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/group"
	"github.com/sullae/sullae/coordinator/policy"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/ops/tracing"
)

// Config is a coordinator's configuration. Flags that errors name are those of
// `sullae coordinator`.
type Config struct {
	ID      string // unique in the cluster
	Version string

	Model      string // folder in Hugging Face's layout; "demo": the built-in model
	ServedName string // "": the folder's name

	HTTPAddr, GRPCAddr string // the APIs
	BatchDir           string // where files and batches are kept; "": none are taken
	// OpsAddr is the plaintext port for probes, metrics and /debug/; "": none.
	OpsAddr string
	// TLS secures the APIs' ports; no files: plain text. APIKeys is the file of keys
	// that calls need; "": they need none.
	TLS     edge.TLSFiles
	APIKeys string
	// Limits bound what one request may ask for, MaxRequestBytes its size (0: 32 MiB).
	Limits          gateway.Limits
	MaxRequestBytes int64
	// Audit is where requests for tokens are recorded; no file: nowhere.
	Audit   audit.Config
	Tracing tracing.Config // of OpenTelemetry traces
	// Policy is asked about requests and answers; no address: nobody is.
	Policy policy.Config
	// ClusterAddr is where workers fetch weights; Advertise is this host's name
	// or address for workers, "" for the listener's own.
	ClusterAddr, Advertise string
	GossipAddr             string // memberlist, host:port
	GossipKey              []byte // AES key of 16, 24 or 32 bytes; nil: plain
	// NodeTLS secures the streams between nodes; nil: plain text.
	NodeTLS *nodetls.Source

	// Etcd names a real etcd; without endpoints one is embedded at EtcdListen,
	// with its data in EtcdDir ("": temporary).
	Etcd                registry.Config
	EtcdListen, EtcdDir string

	// Groups serve side by side, each of Workers workers; 0: one.
	Groups              int
	Workers, MinWorkers int           // Workers 0: all that there are
	Regroup             time.Duration // wait for lost workers before going on with fewer
	Rebalance           time.Duration // how long a rank must be slow before shares follow; 0: they never do
	KVTokens            int           // 0: what the workers have room for
	BlockSize           int
	KVType              kernels.KVType // how workers keep keys and values
	Quant               kernels.Format // how workers keep matrices
	MaxBatchedTokens    int
	MaxSeqs             int
	MaxPrefillChunk     int // 0: 256
	// MaxQueuedRequests and MaxQueuedTokens bound what waits; 0: 1,024 requests, 64
	// contexts of tokens.
	MaxQueuedRequests, MaxQueuedTokens int
	NoPrefixCache                      bool
	PromptLookup                       int // gateway.Config's
	CollectiveTimeout                  time.Duration
	// DrainTimeout is how long an orderly end waits for the requests that are
	// here; 0: not at all, they are refused.
	DrainTimeout time.Duration

	Logger *slog.Logger
	// OnEtcd is told where etcd is, as soon as workers may come; OnProgress how
	// loading goes; OnReady when requests are first served. All may be nil.
	OnEtcd     func(endpoints []string)
	OnProgress func(group.Progress)
	OnReady    func(Ready)
}

// Ready is what a coordinator tells when it serves.
type Ready struct {
	HTTP, GRPC string // host:port, as bound
	Workers    int
	Model      string
}

func (c *Config) setDefaults() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Etcd.Cluster == "" {
		c.Etcd.Cluster = registry.DefaultCluster
	}
	def(&c.MinWorkers, 1)
	def(&c.Groups, 1)
	def(&c.BlockSize, 16)
	def(&c.MaxBatchedTokens, 512)
	def(&c.MaxSeqs, 64)
	def(&c.MaxPrefillChunk, 256)
	def(&c.MaxQueuedRequests, 1024)
	if c.CollectiveTimeout == 0 {
		c.CollectiveTimeout = 30 * time.Second
	}
}

// listen binds addr for the flag, so that what is in use is said by its name.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w (choose another address, or port 0 for a free one)", flag, addr, err)
	}
	return l, nil
}
