// Package remote connects a command to a cluster's gRPC service and explains
// its errors in the command's words: flags instead of fields, and what to do.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// dialTimeout is how long a coordinator may take to answer at all.
const dialTimeout = 5 * time.Second

// Cluster is a connection to a cluster.
type Cluster struct {
	*client.Client
	Addr string
}

// Dial connects to HOST:PORT (or :PORT, on this machine). That a server is there
// is tried first: gRPC itself would repeat the attempt for seconds before it
// told.
func Dial(ctx context.Context, addr string, opts ...client.Option) (*Cluster, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" || strings.Contains(addr, "/") {
		return nil, fmt.Errorf("--grpc %s: this is not HOST:PORT, such as 127.0.0.1:9090", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	target := net.JoinHostPort(host, port)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		if parent := context.Cause(ctx); parent == context.Canceled {
			return nil, parent
		}
		return nil, fmt.Errorf("no coordinator is reached at %s (%w): start one with \"sullae up\", or give the gRPC address of one with --grpc", target, Reason(err))
	}
	conn.Close()
	c, err := client.Dial(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("--grpc %s: %w", addr, err)
	}
	return &Cluster{Client: c, Addr: target}, nil
}

// Model is the served model of a name; "" stands for the only one.
func (c *Cluster) Model(ctx context.Context, name string) (*sullaev1.Model, error) {
	models, err := c.Models(ctx)
	if status.Code(err) == codes.Unimplemented {
		return nil, fmt.Errorf("the server at %s does not offer sullae.v1.InferenceService: give a coordinator's gRPC address with --grpc", c.Addr)
	}
	if err != nil {
		return nil, c.Explain(err)
	}
	var served []string
	for _, m := range models {
		if m.GetId() == name {
			return m, nil
		}
		served = append(served, m.GetId())
	}
	switch {
	case len(models) == 0:
		return nil, fmt.Errorf("the cluster at %s serves no model yet: wait until \"sullae status\" says serving", c.Addr)
	case name != "":
		return nil, fmt.Errorf("--model %s: not served at %s; served: %s", name, c.Addr, strings.Join(served, ", "))
	case len(models) > 1:
		return nil, fmt.Errorf("several models are served at %s: choose one with --model: %s", c.Addr, strings.Join(served, ", "))
	}
	return models[0], nil
}

// Reason is why a connection failed, without the address that a message has
// already.
func Reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
