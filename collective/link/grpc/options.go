// Package grpclink carries a group's frames between processes: one bidirectional
// gRPC stream for each pair of ranks, which the higher rank opens and the lower
// one accepts, with a codec that hands payloads over without copying them into a
// message. A Hub is one process's end of all such streams; Hub.Join forms a group.
//
// Before a frame flows, both ends of a stream show each other who they are (group,
// epoch, rank, size, settings) and prove that they know the epoch's token, without
// sending it. What does not fit is refused with a status that says why.
package grpclink

import (
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Windows and buffers of the transport. Windows are static, because the estimate
// that gRPC would make costs pings in the path; a receiver always reads, so a
// window has to cover the bandwidth-delay product and no more. 512 KiB buffers
// were fastest for large messages and no slower for small ones.
const (
	streamWindow = 16 << 20
	connWindow   = 64 << 20
	bufferBytes  = 512 << 10
)

// ServerOptions are for the gRPC server that a Hub is registered on.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
	}
}

// DialOptions are for the connections between ranks; the Hub uses them. They say
// nothing about credentials.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithDisableRetry(), // a retry would keep, and repeat, frames
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
}

// target is addr as gRPC wants it: host:port is dialed as it is, so that a name is
// looked up at each attempt; what names its own scheme (unix:...) keeps it.
func target(addr string) string {
	if strings.Contains(addr, "://") || strings.HasPrefix(addr, "unix:") {
		return addr
	}
	return "passthrough:///" + addr
}
