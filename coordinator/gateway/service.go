package gateway

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Config is what a Service is made of. Model and Engine are required.
type Config struct {
	Model  Model
	Engine Engine
	Logger *slog.Logger // nil: discarded
	// Registry receives the metrics; nil: nobody.
	Registry prometheus.Registerer
	// NewSeed draws the seeds of requests that have none; nil: at random.
	NewSeed func() uint64
	Now     func() time.Time // nil: time.Now
	Limits  Limits
	// PromptLookup is Request.PromptLookup's default; 0: off.
	PromptLookup int
	// Auditor is told of every request for tokens when it has ended, or was
	// refused; nil: nobody. AuditContent tells it what was said, too.
	Auditor      Auditor
	AuditContent bool
	// Tracer makes the requests' spans; nil: there are none.
	Tracer trace.Tracer
	// Policy is asked about every request for tokens; nil: all pass.
	Policy       Policy
	PolicyConfig PolicyConfig
}

// MaxPromptLookup bounds Request.PromptLookup.
const MaxPromptLookup = 32

// Limits bound what one request may ask for. Zero fields take the defaults.
type Limits struct {
	MaxSequences   int     // prompts times n; default 1024
	MaxN           int     // default 128
	MaxLogprobs    int     // default 20
	MaxStops       int     // stop strings; default 16
	MaxStopBytes   int     // of one stop string; default 1024
	MaxStopTokens  int     // default 256
	MaxTemperature float32 // default 100

	// No bounds by default, beyond the model's context.
	MaxPromptTokens, MaxOutputTokens int           // of one sequence
	MaxTime                          time.Duration // of a request, waiting included
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.MaxSequences, 1024)
	def(&l.MaxN, 128)
	def(&l.MaxLogprobs, 20)
	def(&l.MaxStops, 16)
	def(&l.MaxStopBytes, 1024)
	def(&l.MaxStopTokens, 256)
	if l.MaxTemperature == 0 {
		l.MaxTemperature = 100
	}
	return l
}

// Service is the edge's common part: what gRPC and HTTP do alike. It is safe
// for concurrent use, and owns no goroutine beyond those of its Streams.
type Service struct {
	model    Model
	engine   Engine
	log      *slog.Logger
	registry prometheus.Registerer
	// structures are compiled grammars.
	structures structures
	marksOnce  sync.Once
	marks      map[int32]bool // see toolMarks
	newSeed    func() uint64
	now        func() time.Time
	limits     Limits
	metrics    *metrics

	promptLookup int
	traffic      struct{ requests, prompt, generated atomic.Int64 }
	tracer       trace.Tracer
	policy       Policy
	policyConfig PolicyConfig // how output waits for it
	auditor      Auditor
	content      bool // auditor is told it
}

// New makes a Service. It panics if the registry has its metrics already: one
// registry serves one Service.
func New(c Config) *Service {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.NewSeed == nil {
		c.NewSeed = rand.Uint64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{
		model: c.Model, engine: c.Engine, log: c.Logger, registry: c.Registry,
		newSeed: c.NewSeed, now: c.Now, limits: c.Limits.withDefaults(), promptLookup: c.PromptLookup,
		metrics: newMetrics(c.Registry, c.Model.Name),
		policy:  c.Policy, policyConfig: c.PolicyConfig,
		tracer:  c.Tracer,
		auditor: c.Auditor, content: c.AuditContent,
	}
}

// Models lists what is served.
func (s *Service) Models() []Model { return []Model{s.model} }

// Model finds a model by name; "" is the served one. The error is a
// *ModelNotFoundError.
func (s *Service) Model(name string) (Model, error) {
	if name != "" && name != s.model.Name {
		return Model{}, &ModelNotFoundError{Name: name, Served: []string{s.model.Name}}
	}
	return s.model, nil
}

// Ready is nil while requests can be served, else the reason, wrapping
// ErrUnavailable.
func (s *Service) Ready() error { return s.engine.Ready() }

// Logger is for the edges.
func (s *Service) Logger() *slog.Logger { return s.log }

// Registry is for the edges' own metrics.
func (s *Service) Registry() prometheus.Registerer { return s.registry }

// Traffic counts since the service was made.
type Traffic struct{ Requests, PromptTokens, GenerationTokens int64 }

// Traffic is a snapshot.
func (s *Service) Traffic() Traffic {
	return Traffic{s.traffic.requests.Load(), s.traffic.prompt.Load(), s.traffic.generated.Load()}
}

// Now is the service's clock.
func (s *Service) Now() time.Time { return s.now() }
