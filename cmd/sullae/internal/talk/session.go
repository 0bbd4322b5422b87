package talk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/lineedit"
	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Session is a conversation and how its answers are made.
type Session struct {
	Cluster   *remote.Cluster
	Model     *sullaev1.Model
	System    string // the system turn, "" for none
	Sampling  *sullaev1.Sampling
	MaxTokens *int32 // of an answer; nil: what is left of the context

	turns []*sullaev1.Message // of user and assistant in turn
}

// Answer is what became of a question.
type Answer struct {
	Text string
	// Forgotten turns were dropped from the conversation's start, since it no
	// longer fit into the context.
	Forgotten int
	Truncated bool // at MaxTokens, or at the context's end
	Stopped   bool // by the user
}

// Clear forgets what was said; the system turn stays.
func (s *Session) Clear() { s.turns = nil }

// Ask puts a question and hands out the answer's text piece by piece. An answer
// that the user stops (a context whose cause is lineedit.ErrInterrupted) is kept
// as far as it came; after an error the conversation is as before.
func (s *Session) Ask(ctx context.Context, question string, write func(string)) (Answer, error) {
	var a Answer
	turns, err := s.fit(ctx, append(s.turns[:len(s.turns):len(s.turns)], message("user", question)))
	if err != nil {
		return a, s.explain(ctx, err)
	}
	a.Forgotten = len(s.turns) + 1 - len(turns)
	stream, err := s.Cluster.Chat(ctx, &sullaev1.ChatRequest{
		Model: s.Model.GetId(), Messages: s.messages(turns),
		Sampling: s.Sampling, Stopping: &sullaev1.Stopping{MaxTokens: s.MaxTokens},
	})
	if err != nil {
		return a, s.explain(ctx, err)
	}
	var text strings.Builder
	for d, err := range stream.All() {
		if err != nil {
			if a.Stopped = errors.Is(context.Cause(ctx), lineedit.ErrInterrupted); a.Stopped {
				break
			}
			return a, s.explain(ctx, err)
		}
		text.WriteString(d.GetText())
		write(d.GetText())
		if d.GetFinish().GetReason() == sullaev1.FinishReason_FINISH_REASON_LENGTH {
			a.Truncated = true
		}
	}
	a.Text = text.String()
	if a.Stopped && a.Text == "" {
		return a, nil // as if it had not been asked
	}
	s.turns = append(turns, message("assistant", a.Text))
	return a, nil
}

// fit drops the oldest questions with their answers until the rest leaves room
// for an answer: MaxTokens, or a quarter of the context.
func (s *Session) fit(ctx context.Context, turns []*sullaev1.Message) ([]*sullaev1.Message, error) {
	room := int(s.Model.GetMaxModelLen())
	if s.MaxTokens != nil {
		room -= int(*s.MaxTokens)
	} else {
		room -= room / 4
	}
	for len(turns) > 1 {
		ids, err := s.Cluster.Tokenize(ctx, &sullaev1.TokenizeRequest{
			Model: s.Model.GetId(),
			Input: &sullaev1.TokenizeRequest_Chat{Chat: &sullaev1.Messages{Messages: s.messages(turns)}},
		})
		if err != nil {
			return nil, err
		}
		if len(ids) <= room {
			break
		}
		turns = turns[2:]
	}
	return turns, nil
}

// messages are the turns behind the system turn.
func (s *Session) messages(turns []*sullaev1.Message) []*sullaev1.Message {
	if s.System == "" {
		return turns
	}
	return append([]*sullaev1.Message{message("system", s.System)}, turns...)
}

// explain leaves the end of ctx as it is.
func (s *Session) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.Cluster.Explain(err)
}

func message(role, content string) *sullaev1.Message {
	return &sullaev1.Message{Role: role, Content: content}
}

// notes are what the user should know of an answer beside its text.
func (s *Session) notes(a Answer) []string {
	var notes []string
	if a.Forgotten > 0 {
		notes = append(notes, fmt.Sprintf("the conversation outgrew the context of %d tokens: its first %d turns were forgotten", s.Model.GetMaxModelLen(), a.Forgotten))
	}
	switch {
	case a.Stopped:
		notes = append(notes, "stopped")
	case a.Truncated && s.MaxTokens != nil:
		notes = append(notes, fmt.Sprintf("cut at --max-tokens %d", *s.MaxTokens))
	case a.Truncated:
		notes = append(notes, fmt.Sprintf("cut at the end of the context, %d tokens", s.Model.GetMaxModelLen()))
	}
	return notes
}
