package group

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/sched"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/checkpoint"
)

// Placement is where workers are found and epochs are written: etcd.
type Placement interface {
	// WatchWorkers yields the whole current list at each change.
	WatchWorkers(ctx context.Context) <-chan []registry.Worker
	// WriteGeneration allocates the group's next epoch; it fails where this
	// coordinator no longer leads.
	WriteGeneration(ctx context.Context, g registry.Generation) (epoch uint64, err error)
	// ReadGeneration returns what was written last, by whomever.
	ReadGeneration(ctx context.Context, group string) (registry.Generation, error)
}

// Config is what a group is made of.
type Config struct {
	Name       string // of the group: "0"
	Model      string // the served name
	Checkpoint *checkpoint.Checkpoint
	// WeightsAddress is where workers without the checkpoint fetch it.
	WeightsAddress string
	Placement      Placement
	// Dead reports workers that membership says are gone, by id; nil: none.
	Dead func(workerID string) bool
	// Answers asks a worker directly, by id, for a tenth of a second at most,
	// whether it is there; nil: nobody is asked.
	Answers func(workerID string) bool
	// Refused says why a worker cannot join (its certificate is not accepted), or
	// ""; nil: all can.
	Refused func(registry.Worker) string
	// Workers is how many ranks the group wants; it waits for them at first.
	// After a loss it goes on with fewer, down to MinWorkers, once none has
	// joined for Regroup. 0: all that there are, from MinWorkers on.
	Workers, MinWorkers int
	anyNumber           bool // Workers was 0, and is now the most that can share the model
	// Roster shares the workers out between groups; nil: this is the only one.
	Roster *Roster
	// OnEpochEnd is called when an epoch has ended: another group may go on with the
	// sequences (Release). May be nil.
	OnEpochEnd func(*Group)
	// OnServing is called when an epoch begins to serve: the group may take over what
	// waits in others (ReleaseWaiting). May be nil.
	OnServing func(*Group)
	// Arrivals are those of all groups between which sequences move; nil: none do.
	Arrivals *sched.Arrivals
	// Spare tells whether others serve, so that this group's last worker may leave;
	// nil: none do.
	Spare   func(*Group) bool
	Regroup time.Duration
	// Rebalance is how long a rank must hold the others up before shares are dealt
	// anew by measured speed; 0: never.
	Rebalance        time.Duration
	KVTokens         int // positions in the KV pool; 0: what the workers have room for
	BlockSize        int
	KVType           kernels.KVType // how ranks keep keys and values
	Quant            kernels.Format // how ranks keep matrices
	MaxBatchedTokens int
	MaxSeqs          int
	MaxPrefillChunk  int // prompt tokens of a step while others stream; 0: no bound
	// MaxWaiting bounds the sequences that wait, MaxWaitingTokens their tokens; 0:
	// no bound.
	MaxWaiting, MaxWaitingTokens int
	NoPrefixCache                bool
	CollectiveTimeout            time.Duration
	DialOptions                  []grpc.DialOption
	Logger                       *slog.Logger
	// OnProgress is told how far loading is; may be nil.
	OnProgress func(Progress)
	// Tracer makes the spans of steps; nil: there are none.
	Tracer trace.Tracer
	// OnEvent is told what happens to the group; may be nil.
	OnEvent func(Event)
	Metrics *Metrics
}

// Progress is how far a rank's loading is.
type Progress struct {
	Worker      string
	Rank        int
	Done, Total int64
	Ready       bool
	// Loaded is where a ready one's bytes came from (proto Ready).
	Loaded map[string]int64
}
