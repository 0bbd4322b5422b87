package client

import (
	"context"
	"errors"
	"io"
	"iter"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// response is what GenerateResponse and ChatResponse have in common.
type response interface {
	GetRequestId() string
	GetPrompt() *sullaev1.PromptInfo
	GetDelta() *sullaev1.Delta
}

// Stream is a running call. It has one user at a time, who must Close it.
type Stream struct {
	recv   func() (response, error)
	cancel context.CancelFunc
	id     string
	prompt *sullaev1.PromptInfo
	err    error
}

// Generate continues a prompt. The deltas of all choices come in one stream.
func (c *Client) Generate(ctx context.Context, req *sullaev1.GenerateRequest) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.api.Generate(ctx, req)
	if err != nil {
		cancel()
		return nil, wrap(err)
	}
	return &Stream{recv: func() (response, error) { return s.Recv() }, cancel: cancel}, nil
}

// Chat answers a conversation.
func (c *Client) Chat(ctx context.Context, req *sullaev1.ChatRequest) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.api.Chat(ctx, req)
	if err != nil {
		cancel()
		return nil, wrap(err)
	}
	return &Stream{recv: func() (response, error) { return s.Recv() }, cancel: cancel}, nil
}

// Recv waits for the next delta. It returns io.EOF after every choice has had
// its finish, and an *Error if the call fails.
func (s *Stream) Recv() (*sullaev1.Delta, error) {
	for s.err == nil {
		resp, err := s.recv()
		if err != nil {
			s.err = wrap(err)
			break
		}
		s.id = resp.GetRequestId()
		if p := resp.GetPrompt(); p != nil {
			s.prompt = p
		}
		if d := resp.GetDelta(); d != nil {
			return d, nil
		}
	}
	return nil, s.err
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
