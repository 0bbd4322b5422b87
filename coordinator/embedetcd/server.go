// Package embedetcd runs an etcd server inside the coordinator's process, for
// one machine or a small installation that has no etcd of its own. It is one
// member, reached over loopback unless told otherwise; it uses neither TLS nor
// passwords. A cluster that must outlive its coordinator names a real etcd.
package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective/registry/zapslog"
)

// startTimeout bounds the time from Start until the server answers.
const startTimeout = 30 * time.Second

// Config says where the server listens and keeps its data. The zero value is a
// server on free loopback ports whose data goes when it is closed.
type Config struct {
	// Dir holds the data. Empty: a temporary folder, removed by Close.
	Dir string
	// ClientAddr is where clients connect, PeerAddr where other members would
	// (there are none, but the server listens). Empty: a free loopback port.
	ClientAddr, PeerAddr string
	// Logger gets the server's own log; nil discards it.
	Logger *slog.Logger
	// Fsync makes each write wait for the disk. Without it a power cut, though
	// not a crash of the process, may lose what was written last.
	Fsync bool
}

// Server is a running etcd.
type Server struct {
	etcd      *embed.Etcd
	temporary string // folder to remove, or empty
	closeOnce sync.Once
	closing   atomic.Bool

	mu   sync.Mutex
	grpc []*grpc.Server // etcd's own; each comes once the etcd is ready
}

// Start runs an etcd and returns when it serves. It fails when an address is
// in use or not ours, when Dir can't be written or holds no sound data, when
// the server is not ready within half a minute, or when ctx ends. A Start that
// fails leaves nothing behind.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.ClientAddr == "" {
		cfg.ClientAddr = "127.0.0.1:0"
	}
	if cfg.PeerAddr == "" {
		cfg.PeerAddr = "127.0.0.1:0"
	}
	ec, err := etcdConfig(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	if cfg.Dir == "" {
		if s.temporary, err = os.MkdirTemp("", "sullae-etcd-"); err != nil {
			return nil, fmt.Errorf("embedded etcd: no temporary folder: %w", err)
		}
		ec.Dir = s.temporary
	} else if err := checkDir(cfg.Dir); err != nil {
		return nil, err
	}
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapslog.New(cfg.Logger, s.levels))
	ec.ServiceRegister = s.serving

	if s.etcd, err = start(ec); err != nil {
		s.Close()
		return nil, explain(err, cfg)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return s, nil
	case err = <-s.etcd.Err():
	case <-s.etcd.Server.StopNotify():
		err = errors.New("the server stopped while starting")
	case <-ctx.Done():
		err = fmt.Errorf("not ready: %w", context.Cause(ctx))
	}
	s.Close()
	return nil, explain(err, cfg)
}

// start calls embed.StartEtcd. On data that checkDir let pass though it is
// damaged, etcd panics or logs a fatal entry, which ends the goroutine (see
// zapslog.New); here both are errors.
func start(ec *embed.Config) (*embed.Etcd, error) {
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the data is damaged; move the folder away to start afresh")}
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("%w (%v)", r.err, p)
			}
			done <- r
		}()
		etcd, err := embed.StartEtcd(ec)
		r = result{etcd, err}
	}()
	r := <-done
	return r.etcd, r.err
}

// levels are zapslog.Quiet's until the server is closed: etcd calls each
// listener that it then loses an error.
func (s *Server) levels(l zapcore.Level) slog.Level {
	if s.closing.Load() {
		return slog.LevelDebug
	}
	return zapslog.Quiet(l)
}

// serving is told of each gRPC server that etcd makes.
func (s *Server) serving(g *grpc.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grpc = append(s.grpc, g)
	if s.closing.Load() {
		g.Stop()
	}
}

// Endpoints are the addresses, host:port, at which a client on this machine
// reaches the server.
func (s *Server) Endpoints() []string {
	out := make([]string, 0, len(s.etcd.Clients))
	for _, l := range s.etcd.Clients {
		out = append(out, reachable(l.Addr()))
	}
	return out
}

// reachable is addr, or loopback where addr stands for every interface.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

// Done is closed when the server has stopped, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close stops the server, drops its clients, and removes a temporary folder.
// It may be called more than once.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.closing.Store(true)
		if s.etcd != nil {
			// etcd itself would wait some seconds for open watches to end.
			s.mu.Lock()
			for _, g := range s.grpc {
				g.Stop()
			}
			s.mu.Unlock()
			s.etcd.Close()
		}
		if s.temporary != "" {
			os.RemoveAll(s.temporary)
		}
	})
}
