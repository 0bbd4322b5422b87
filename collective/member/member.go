// Package member says which workers are alive: a thin layer over memberlist, the
// SWIM gossip protocol, tuned to notice a dead process within a second. It knows
// nothing of groups and epochs; what a node says about itself travels as opaque
// Meta. A broken link is noticed sooner (package collective); this is the word on
// processes that no link leads to, and on hosts that fell silent.
package member

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// MaxMetaBytes is the longest Meta that travels.
const MaxMetaBytes = memberlist.MetaMaxSize

// Config describes this node.
type Config struct {
	Name      string       // of the worker; a restarted worker may keep its name
	BindAddr  string       // IP to listen on; empty means all
	BindPort  int          // UDP and TCP; 0 picks a free one
	Advertise string       // host or host:port that others reach us at; empty means the bind address
	Key       []byte       // AES gossip key of 16, 24 or 32 bytes; empty means plain text
	Cluster   string       // nodes of another cluster name are not heard
	Meta      []byte       // what others see as Node.Meta; at most MaxMetaBytes
	Logger    *slog.Logger // nil logs nothing; memberlist's own words are debug

	transport memberlist.Transport // tests
}

// Node is a live process.
type Node struct {
	ID   string // unique among all incarnations of all workers
	Name string // Config.Name
	Addr string // host:port of its gossip
	Meta []byte
}

// Members is this node's view of the cluster.
type Members struct {
	list   *memberlist.Memberlist
	meta   *meta
	events *feed
	id     string

	mu    sync.Mutex
	known map[string]Node // by name: the last that Answers knew of
}

// nodeSeparator stands between a worker's name and its incarnation.
const nodeSeparator = "#"

// Start begins to listen and to gossip; Join finds the others.
func Start(cfg Config) (*Members, error) {
	conf, err := cfg.memberlist()
	if err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	m := &Members{meta: &meta{}, events: newFeed(), id: conf.Name, known: map[string]Node{}}
	if err := m.meta.set(cfg.Meta); err != nil {
		m.events.close()
		return nil, fmt.Errorf("member: %w", err)
	}
	conf.Delegate, conf.Events = m.meta, m.events
	if m.list, err = memberlist.Create(conf); err != nil {
		m.events.close()
		return nil, fmt.Errorf("member: listen on %s: %w", net.JoinHostPort(cfg.BindAddr, strconv.Itoa(cfg.BindPort)), err)
	}
	return m, nil
}

// memberlist translates and checks the configuration.
func (c *Config) memberlist() (*memberlist.Config, error) {
	if c.Name == "" || strings.Contains(c.Name, nodeSeparator) {
		return nil, fmt.Errorf("name %q: want one without %q", c.Name, nodeSeparator)
	}
	switch len(c.Key) {
	case 0, 16, 24, 32:
	default:
		return nil, fmt.Errorf("gossip key of %d bytes: want 16, 24 or 32 (AES-128, AES-192, AES-256)", len(c.Key))
	}
	conf := memberlist.DefaultLANConfig()
	// Detection of a dead process in 0.9 s instead of 5.5 s. A node that is itself
	// starved of CPU notices that and slows its own probing down (Lifeguard).
	conf.ProbeInterval = 200 * time.Millisecond
	conf.ProbeTimeout = 100 * time.Millisecond
	conf.SuspicionMult = 3
	conf.SuspicionMaxTimeoutMult = 2
	conf.GossipInterval = 50 * time.Millisecond
	conf.DisableTcpPings = true
	conf.TCPTimeout = 2 * time.Second
	conf.PushPullInterval = 10 * time.Second
	// Names are new at each start, so nothing has to be reclaimed; should one come
	// back from another address, it is believed soon.
	conf.DeadNodeReclaimTime = 30 * time.Second

	var incarnation [6]byte
	rand.Read(incarnation[:])
	conf.Name = c.Name + nodeSeparator + hex.EncodeToString(incarnation[:])
	conf.BindPort, conf.AdvertisePort = c.BindPort, c.BindPort
	if c.BindAddr != "" {
		conf.BindAddr = c.BindAddr
	}
	if c.Advertise != "" {
		if err := advertise(conf, c.Advertise); err != nil {
			return nil, err
		}
	}
	conf.SecretKey = c.Key
	conf.Label = c.Cluster
	conf.Transport = c.transport
	logger := c.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	conf.Logger = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	return conf, nil
}

// advertise sets the address that others are told.
func advertise(conf *memberlist.Config, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	} else if conf.AdvertisePort, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("advertised address %q: bad port", addr)
	} else if conf.BindPort == 0 {
		return fmt.Errorf("advertised address %q names a port: name the port to listen on, too", addr)
	}
	if net.ParseIP(host) == nil {
		ips, err := net.LookupIP(host)
		if err != nil || len(ips) == 0 {
			return errors.Join(fmt.Errorf("advertised address %q has no IP", addr), err)
		}
		host = ips[0].String()
	}
	conf.AdvertiseAddr = host
	return nil
}

// Join finds the cluster through any of addrs (host:port). It succeeds if one
// answers; our own address does no harm.
func (m *Members) Join(addrs []string) error {
	n, err := m.list.Join(addrs)
	if n == 0 && len(addrs) > 0 {
		return fmt.Errorf("member: nobody answers at %s: %w", strings.Join(addrs, ", "), err)
	}
	return nil
}

// Self is this node.
func (m *Members) Self() Node { return node(m.list.LocalNode()) }

// Alive lists the nodes that are not known to be dead, ourselves included.
func (m *Members) Alive() []Node {
	var out []Node
	for _, n := range m.list.Members() {
		out = append(out, node(n))
	}
	return out
}

// SetMeta changes what others see as our Meta.
func (m *Members) SetMeta(b []byte) error {
	if err := m.meta.set(b); err != nil {
		return fmt.Errorf("member: %w", err)
	}
	return m.list.UpdateNode(time.Second)
}

// Health is 0 if gossip runs well here, and grows while this node is too busy to
// answer in time.
func (m *Members) Health() int { return m.list.GetHealthScore() }

// answers asks a node directly, whatever gossip thinks of it.
func (m *Members) answers(n Node) bool {
	addr, err := net.ResolveUDPAddr("udp", n.Addr)
	if err != nil {
		return false
	}
	_, err = m.list.Ping(n.ID, addr)
	return err == nil
}

// Leave tells the others, for as long as timeout, and stops. Without the others'
// ear it is like a crash to them.
func (m *Members) Leave(timeout time.Duration) error {
	err := m.list.Leave(timeout)
	return errors.Join(err, m.Close())
}

// Close stops without a word and ends Events.
func (m *Members) Close() error {
	err := m.list.Shutdown()
	m.events.close()
	return err
}

func node(n *memberlist.Node) Node {
	name, _, _ := strings.Cut(n.Name, nodeSeparator)
	return Node{ID: n.Name, Name: name, Addr: n.Address(), Meta: append([]byte(nil), n.Meta...)}
}
