package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// response is what GenerateResponse and ChatResponse have in common.
type response interface {
	GetRequestId() string
	GetPrompt() *sullaev1.PromptInfo
	GetDelta() *sullaev1.Delta
}

// Stream is a running call. It has one user at a time, who must Close it. A
// stream that breaks because the cluster is away for a while (a coordinator fails
// over, say) goes on where it broke: what follows is what would have followed.
type Stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	open   func(ctx context.Context, had *sullaev1.Resume, seed *uint64) (func() (response, error), error)
	recv   func() (response, error)
	id     string
	prompt *sullaev1.PromptInfo
	had    []*sullaev1.ResumedChoice // by index
	resume time.Duration             // longest time away; 0: not resumed
	client *Client
	err    error
}

// Generate continues a prompt. The deltas of all choices come in one stream.
func (c *Client) Generate(ctx context.Context, req *sullaev1.GenerateRequest) (*Stream, error) {
	return c.start(ctx, int(req.GetN()), func(ctx context.Context, had *sullaev1.Resume, seed *uint64) (func() (response, error), error) {
		if had != nil {
			req = proto.CloneOf(req)
			req.Resume, req.Sampling = had, withSeed(req.Sampling, seed)
		}
		s, err := c.api().Generate(ctx, req)
		if err != nil {
			return nil, err
		}
		return listen(c, s.Header, func() (response, error) { return s.Recv() }), nil
	})
}

// Chat answers a conversation.
func (c *Client) Chat(ctx context.Context, req *sullaev1.ChatRequest) (*Stream, error) {
	return c.start(ctx, int(req.GetN()), func(ctx context.Context, had *sullaev1.Resume, seed *uint64) (func() (response, error), error) {
		if had != nil {
			req = proto.CloneOf(req)
			req.Resume, req.Sampling = had, withSeed(req.Sampling, seed)
		}
		s, err := c.api().Chat(ctx, req)
		if err != nil {
			return nil, err
		}
		return listen(c, s.Header, func() (response, error) { return s.Recv() }), nil
	})
}

func (c *Client) start(ctx context.Context, n int, open func(context.Context, *sullaev1.Resume, *uint64) (func() (response, error), error)) (*Stream, error) {
	s := &Stream{open: open, resume: c.resume, client: c}
	for range max(n, 1) {
		s.had = append(s.had, &sullaev1.ResumedChoice{})
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	recv, err := s.attempt(nil, nil)
	switch {
	case err == nil:
		s.recv = recv
	case c.reached.Load() && status.Code(err) == codes.Unavailable:
		s.recv = func() (response, error) { return nil, err } // Recv begins it again
	default:
		s.cancel()
		return nil, wrap(err)
	}
	return s, nil
}

// withSeed is a copy of the sampling with the seed that the cluster drew.
func withSeed(s *sullaev1.Sampling, seed *uint64) *sullaev1.Sampling {
	if s == nil {
		s = &sullaev1.Sampling{}
	} else {
		s = proto.CloneOf(s)
	}
	s.Seed = seed
	return s
}

// Recv waits for the next delta. It returns io.EOF after every choice has had
// its finish, and an *Error if the call fails.
func (s *Stream) Recv() (*sullaev1.Delta, error) {
	for s.err == nil {
		resp, err := s.recv()
		if err != nil {
			if err = s.goOn(err); err != nil {
				s.err = wrap(err)
			}
			continue
		}
		s.client.reached.Store(true)
		s.id = resp.GetRequestId()
		if p := resp.GetPrompt(); p != nil && s.prompt == nil {
			s.prompt = p
		}
		if d := resp.GetDelta(); d != nil {
			s.note(d)
			return d, nil
		}
	}
	return nil, s.err
}

// note remembers what was received, to resume from.
func (s *Stream) note(d *sullaev1.Delta) {
	if i := int(d.GetIndex()); i < len(s.had) {
		h := s.had[i]
		if d.GetText() != "" && len(d.GetTokenIds()) == 0 && d.GetFinish() == nil {
			s.resume = 0 // a policy has redacted this: what came can't be gone on from
		}
		h.TokenIds = append(h.TokenIds, d.GetTokenIds()...)
		h.TextBytes += int64(len(d.GetText()))
		for _, p := range d.GetToolCalls() {
			for int(p.GetIndex()) >= len(h.ArgumentBytes) {
				h.ArgumentBytes = append(h.ArgumentBytes, 0)
			}
			h.ArgumentBytes[p.GetIndex()] += int64(len(p.GetArguments()))
		}
		h.Finished = d.GetFinish() != nil
	}
}

// Pauses between two tries to resume.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// goOn takes the call up again if it broke because the cluster was away, and
// begins it again if nothing of it had come; else it returns why it ended. A
// cluster that has never answered is not away: its address may be wrong.
func (s *Stream) goOn(cause error) error {
	if s.resume <= 0 || !s.client.reached.Load() || status.Code(cause) != codes.Unavailable {
		return cause
	}
	var had *sullaev1.Resume
	var seed *uint64
	if s.prompt != nil {
		had, seed = &sullaev1.Resume{Choices: s.had}, proto.Uint64(s.prompt.GetSeed())
	}
	pause := firstPause
	for began := time.Now(); time.Since(began) < s.resume; pause = min(2*pause, maxPause) {
		select {
		case <-s.ctx.Done():
			return cause
		case <-time.After(pause):
		}
		recv, err := s.attempt(had, seed)
		if err == nil {
			// The call is up only when something has come.
			var first response
			if first, err = recv(); err == nil {
				s.recv = func() (response, error) {
					s.recv = recv
					return first, nil
				}
				return nil
			}
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
		}
		if status.Code(err) != codes.Unavailable {
			return err
		}
	}
	return cause
}

// All yields the remaining deltas, and last an error if the call fails. It
// closes the stream when the loop ends, however it ends.
func (s *Stream) All() iter.Seq2[*sullaev1.Delta, error] {
	return func(yield func(*sullaev1.Delta, error) bool) {
		defer s.Close()
		for {
			d, err := s.Recv()
			if errors.Is(err, io.EOF) || !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Prompt is known after the first Recv: the prompt's length, the seed, and its
// log-probabilities where asked for.
func (s *Stream) Prompt() *sullaev1.PromptInfo { return s.prompt }

// RequestID is known after the first Recv.
func (s *Stream) RequestID() string { return s.id }

// Close ends the call, if it still runs. It may be called more than once.
func (s *Stream) Close() { s.cancel() }
