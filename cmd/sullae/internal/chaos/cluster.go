package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/cmd/sullae/internal/netlab"
	"github.com/sullae/sullae/coordinator/status"
	"github.com/sullae/sullae/proto/client"
)

// Config is a cluster under test.
type Config struct {
	Binary       string // the sullae to test
	Dir          string // for logs and etcd's data
	Workers      int    // that share the model
	Spares       int    // more workers than that
	Coordinators int    // one leads, the others stand by
	Threads      int    // of each worker
	Model        string // folder, or "demo"
	Streams      int    // requests at once, where the disturbance does not say; 0: 8
	Tokens       int    // of an answer; 0: 200
	Link         netlab.Link
	Loopback     bool // loopback addresses even where namespaces can be made
	Out          io.Writer
}

// Cluster is a running cluster. Its methods disturb and judge it.
type Cluster struct {
	cfg          Config
	net          network
	lab          *netlab.Lab // nil: loopback
	etcd         *node
	coordinators []*node
	workers      []*node // spares included
	nodes        []*node
	user         int // the host that requests come from
	http         *http.Client
	client       *client.Client
	began        time.Time
	closing      chan struct{}
	wg           sync.WaitGroup

	mu         sync.Mutex
	events     []event
	violations []string
	figures    figures
}

// Ports, the same on every host.
const (
	etcdPort    = "2379"
	httpPort    = "8080"
	grpcPort    = "9090"
	clusterPort = "7000"
	gossipPort  = "7946"
)

// Start starts all processes and waits until the cluster serves.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	cfg.Streams, cfg.Tokens = cmp.Or(cfg.Streams, 8), cmp.Or(cfg.Tokens, 200)
	c := &Cluster{cfg: cfg, closing: make(chan struct{}), began: time.Now()}
	hosts := 1 + cfg.Coordinators + cfg.Workers + cfg.Spares + 1
	var why string
	if c.net, c.lab, why, err = newNetwork(hosts, cfg.Link, cfg.Loopback); err != nil {
		return nil, err
	}
	if c.lab == nil {
		c.say("hosts are loopback addresses, so nothing can be cut or delayed: %s", why)
	} else {
		c.say("%d hosts in network namespaces; wire: %v one way, %.0f Mbit/s, loss %.2g", hosts, cfg.Link.Delay, cfg.Link.BitsPerSecond/1e6, cfg.Link.Loss)
	}
	c.user = hosts - 1
	c.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.net.Dial(ctx, c.user, network, addr)
	}, MaxIdleConnsPerHost: 64}}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	c.plan()
	if c.client, err = client.Dial(strings.Join(c.addresses(grpcPort), ","), client.WithResume(time.Minute),
		client.WithGRPC(grpc.WithNoProxy(), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return c.net.Dial(ctx, c.user, "tcp", addr)
		}))); err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		c.wg.Go(n.supervise)
	}
	if err := c.awaitFull(ctx, 5*time.Minute); err != nil {
		return nil, err
	}
	c.say("serving after %.1f s", time.Since(c.began).Seconds())
	return c, nil
}

// plan lays the processes out, one on each host.
func (c *Cluster) plan() {
	host := 0
	at := func(port string) string { return net.JoinHostPort(c.net.Addr(host), port) }
	c.etcd = c.newNode("etcd", host, "chaos", "etcd", "--listen", at(etcdPort), "--dir", c.cfg.Dir+"/etcd")
	etcd := at(etcdPort)
	logs := []string{"--log-format", "json", "--etcd", etcd, "--cluster", "chaos"}
	for i := range c.cfg.Coordinators {
		host++
		args := append([]string{"coordinator", "--id", fmt.Sprint("c", i), "--http", at(httpPort), "--grpc", at(grpcPort),
			"--cluster-listen", at(clusterPort), "--gossip", at(gossipPort), "--workers", strconv.Itoa(c.cfg.Workers), "--model", c.cfg.Model}, logs...)
		c.coordinators = append(c.coordinators, c.newNode(fmt.Sprint("c", i), host, args...))
	}
	for i := range c.cfg.Workers + c.cfg.Spares {
		host++
		c.workers = append(c.workers, c.newNode(fmt.Sprint("w", i), host, append([]string{"worker", "--id", fmt.Sprint("w", i),
			"--listen", at(clusterPort), "--gossip", at(gossipPort), "--threads", strconv.Itoa(c.cfg.Threads)}, logs...)...))
	}
}

// addresses are all coordinators' with a port.
func (c *Cluster) addresses(port string) (out []string) {
	for _, n := range c.coordinators {
		out = append(out, net.JoinHostPort(c.net.Addr(n.host), port))
	}
	return out
}

// Close ends all processes, in order where they let it.
func (c *Cluster) Close() {
	select {
	case <-c.closing:
		return
	default:
	}
	close(c.closing)
	c.mend()
	if c.client != nil {
		c.client.Close()
	}
	var ends sync.WaitGroup
	for _, n := range c.nodes {
		if n != c.etcd {
			ends.Go(func() { n.end(syscall.SIGTERM, 20*time.Second) })
		}
	}
	ends.Wait()
	if c.etcd != nil {
		c.etcd.end(syscall.SIGTERM, 10*time.Second)
	}
	c.wg.Wait()
	c.http.CloseIdleConnections()
	c.net.Close()
}

// mend takes every disturbance of hosts and wire back.
func (c *Cluster) mend() {
	if c.lab != nil {
		c.lab.SetLink(c.cfg.Link)
		for i := range c.nodes {
			c.lab.Cut(i, false)
			for j := range i {
				c.lab.CutPair(i, j, false)
			}
		}
	}
	for _, n := range c.nodes {
		n.signal(syscall.SIGCONT)
		n.hold(false)
	}
}

// say prints a line of progress.
func (c *Cluster) say(format string, args ...any) {
	fmt.Fprintf(c.cfg.Out, "%7.1f  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// violate notes that a promise was broken.
func (c *Cluster) violate(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.violations = append(c.violations, fmt.Sprintf("%.1f: %s", time.Since(c.began).Seconds(), v))
	c.mu.Unlock()
	c.say("BROKEN  %s", v)
}

// status is what a coordinator tells.
func (c *Cluster) status(ctx context.Context, n *node) (s status.Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	body, code, err := c.fetch(ctx, "GET", n, "/cluster/status", nil)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status %d", code)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// fetch asks a coordinator over HTTP.
func (c *Cluster) fetch(ctx context.Context, method string, n *node, path string, body io.Reader) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+net.JoinHostPort(c.net.Addr(n.host), httpPort)+path, body)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	// A new connection each time, as a probe makes: over one that stands a
	// coordinator that stands by and drains still passes on to the leader.
	req.Close = true
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return out, res.StatusCode, err
}

var errNoLeader = errors.New("no coordinator leads")

// leader is the coordinator that leads, and its status. One that stands by passes
// the question on.
func (c *Cluster) leader(ctx context.Context) (*node, status.Cluster, error) {
	for _, n := range c.coordinators {
		if n.pid() == 0 {
			continue
		}
		s, err := c.status(ctx, n)
		if err != nil || s.Group.Epoch == 0 {
			continue
		}
		if i := slices.IndexFunc(c.coordinators, func(n *node) bool { return n.name == s.Coordinator }); i >= 0 && s.Group.Phase != "standby" {
			return c.coordinators[i], s, nil
		}
	}
	return nil, status.Cluster{}, errNoLeader
}

// await waits for a condition of the leader's status.
func (c *Cluster) await(ctx context.Context, within time.Duration, what string, ok func(status.Cluster) bool) error {
	end := time.Now().Add(within)
	for {
		_, s, err := c.leader(ctx)
		if err == nil && ok(s) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s (leader: %v, group %+v, %d workers)", within, what, err, s.Group, len(s.Workers))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// awaitFull waits until the group has all its ranks and every process that is not
// held is up and known.
func (c *Cluster) awaitFull(ctx context.Context, within time.Duration) error {
	err := c.await(ctx, within, "the group is complete", func(s status.Cluster) bool {
		alive := map[string]bool{}
		for _, w := range s.Workers {
			alive[w.ID] = w.Health == "alive"
		}
		up := 0
		for _, n := range c.workers {
			n.mu.Lock()
			held := n.held
			n.mu.Unlock()
			if !held && !alive[n.name] {
				return false
			}
			if !held {
				up++
			}
		}
		return s.Group.Phase == "serving" && s.Group.WorldSize == min(c.cfg.Workers, up)
	})
	if err != nil {
		return err
	}
	for _, n := range c.coordinators { // those that stand by answer, too
		for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
			if _, err := c.status(ctx, n); err == nil {
				break
			} else if time.Now().After(end) {
				return fmt.Errorf("coordinator %s does not answer: %w", n.name, err)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// worker finds a worker's process by its id.
func (c *Cluster) worker(id string) *node {
	for _, n := range c.workers {
		if n.name == id {
			return n
		}
	}
	return nil
}
