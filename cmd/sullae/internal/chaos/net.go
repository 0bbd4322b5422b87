package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"

	"github.com/sullae/sullae/cmd/sullae/internal/netlab"
)

// network is the hosts that a cluster's processes run on.
type network interface {
	Addr(host int) string
	Start(host int, cmd *exec.Cmd) (<-chan error, error)
	Dial(ctx context.Context, host int, network, addr string) (net.Conn, error)
	Close()
}

// newNetwork makes hosts: namespaces with a wire that is l, or, where none can
// be made or loopback is asked for, loopback addresses. why says why it is the
// latter.
func newNetwork(hosts int, l netlab.Link, plain bool) (n network, lab *netlab.Lab, why string, err error) {
	if plain {
		return loopback{}, nil, "asked for", nil
	}
	lab, err = netlab.New(hosts)
	if errors.Is(err, netlab.ErrUnavailable) {
		return loopback{}, nil, err.Error(), nil
	}
	if err != nil {
		return nil, nil, "", err
	}
	lab.SetLink(l)
	return lab, lab, "", nil
}

// loopback gives each host an address in 127.0.0.0/8.
type loopback struct{}

func (loopback) Addr(i int) string { return fmt.Sprintf("127.78.0.%d", i+1) }
func (loopback) Close()            {}

func (loopback) Start(_ int, cmd *exec.Cmd) (<-chan error, error) {
	started, ended := make(chan error), make(chan error, 1)
	go pinned(func() {
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	})
	return ended, <-started
}

func (loopback) Dial(ctx context.Context, _ int, network, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}
