package client

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// heartbeatHeader asks for an empty message each half a second in which a stream has
// nothing to say, and answers that they come.
const heartbeatHeader = "x-sullae-heartbeat"

// silence is how long nothing may come from a cluster that sends heartbeats:
// after that its coordinator hangs, or cannot be reached any more.
const silence = 2500 * time.Millisecond

// attempt opens the call once; it ends by itself when nothing is heard any more.
func (s *Stream) attempt(had *sullaev1.Resume, seed *uint64) (func() (response, error), error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(s.ctx, heartbeatHeader, "1"))
	conn := s.client.Conn()
	recv, err := s.open(ctx, had, seed)
	if err != nil {
		cancel()
		return nil, s.givenUp(err)
	}
	return func() (response, error) {
		var silent atomic.Bool
		if s.client.beats.Load() {
			late := time.AfterFunc(silence, func() { silent.Store(true); cancel() })
			defer late.Stop()
		}
		resp, err := recv()
		if err != nil {
			cancel()
			switch {
			case s.ctx.Err() != nil:
			case silent.Load():
				s.client.renew(conn)
				err = status.Errorf(codes.Unavailable, "nothing was heard from the cluster for %v", silence)
			default:
				err = s.givenUp(err)
			}
		}
		return resp, err
	}, nil
}

// givenUp is err, or, where a call was cancelled though nobody did that here, that
// its connection was given up: another stream heard nothing over it.
func (s *Stream) givenUp(err error) error {
	if s.ctx.Err() == nil && status.Code(err) == codes.Canceled {
		return status.Error(codes.Unavailable, "the connection was given up")
	}
	return err
}

// listen receives a call's messages, and learns from the first whether heartbeats
// come.
func listen(c *Client, header func() (metadata.MD, error), recv func() (response, error)) func() (response, error) {
	first := true
	return func() (response, error) {
		resp, err := recv()
		if first && err == nil {
			first = false
			if head, err := header(); err == nil && len(head.Get(heartbeatHeader)) > 0 {
				c.beats.Store(true)
			}
		}
		return resp, err
	}
}
