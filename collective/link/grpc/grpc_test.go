package grpclink

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/colltest"
	shmlink "github.com/sullae/sullae/collective/link/shm"
)

// node is one rank's process: a server and a hub.
type node struct {
	hub    *Hub
	server *grpc.Server
	addr   string
}

func newNode(t testing.TB, opts HubOptions) *node {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{hub: NewHub(opts), server: grpc.NewServer(ServerOptions()...), addr: lis.Addr().String()}
	n.hub.Register(n.server)
	go n.server.Serve(lis)
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.hub.Close()
	n.server.Stop()
}

// kill ends the node as the end of its process would.
func (n *node) kill() {
	n.hub.conns.keep(nil)
	n.server.Stop()
}

func newNodes(t testing.TB, n int) ([]*node, []string) { return newNodesWith(t, n, HubOptions{}) }

func newNodesWith(t testing.TB, n int, opts HubOptions) (nodes []*node, peers []string) {
	for range n {
		nd := newNode(t, opts)
		nodes, peers = append(nodes, nd), append(peers, nd.addr)
	}
	return nodes, peers
}

// joinAll forms a group of the nodes.
func joinAll(t testing.TB, nodes []*node, f Formation) []collective.Communicator {
	t.Helper()
	comms := make([]collective.Communicator, len(nodes))
	for r, err := range colltest.Each(nodes, func(r int, n *node) (err error) {
		mine := f
		mine.Rank, mine.WorldSize = r, len(nodes)
		comms[r], err = n.hub.Join(context.Background(), mine)
		return err
	}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	return comms
}

func cluster(opts HubOptions) colltest.NewCluster {
	return func(t *testing.T, n int, tuning collective.Tuning) colltest.Cluster {
		nodes, peers := newNodesWith(t, n, opts)
		comms := joinAll(t, nodes, Formation{Group: "test", Epoch: 1, Peers: peers, Token: []byte("secret"), Tuning: tuning})
		for r, c := range comms {
			for p, s := range c.(*Member).Stats().Peers {
				if want := opts.SharedMemory && shmlink.Supported && p != r; s.Polled != want {
					t.Fatalf("rank %d to rank %d goes through memory: %v", r, p, s.Polled)
				}
			}
		}
		return colltest.Cluster{Ranks: comms, Kill: func(r int) { nodes[r].kill() }}
	}
}

func TestSuite(t *testing.T) { colltest.RunAll(t, cluster(HubOptions{})) }

// TestSuiteInMemory has frames go through memory, with waits that spin and that sleep.
func TestSuiteInMemory(t *testing.T) {
	colltest.RunAll(t, cluster(HubOptions{SharedMemory: true, SpinRanks: 2}))
}
