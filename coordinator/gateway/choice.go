package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sullae/sullae/coordinator/toolcall"
)

// choice turns one sequence's events into deltas, as they come and however slow
// the client is: so a stop string ends the sequence at once.
type choice struct {
	stream *Stream
	prompt *promptState
	seq    Sequence
	ctx    context.Context
	cancel context.CancelFunc
	events <-chan Event

	decoder   StreamDecoder    // nil without a tokenizer
	calls     *toolcall.Parser // nil without tools
	stop      stopMatcher
	gate      gate
	generated int
	offset    int       // characters decoded so far
	pending   *Delta    // what a resumed client has the tokens of, and not the text
	early     *Delta    // a resumed choice's last delta, where nothing is left to compute
	scheduled time.Time // when its first step was planned
	first     time.Time
	last      time.Time
}

func newChoice(st *Stream, seq Sequence, ps *promptState) *choice {
	c := &choice{stream: st, prompt: ps, seq: seq, stop: stopMatcher{stops: st.plan.stops}}
	c.ctx, c.cancel = context.WithCancel(st.ctx)
	if t := st.svc.model.Tokenizer; t != nil {
		// The special tokens that mark calls have to be seen: decode skips the others.
		c.decoder = t.NewStreamDecoder(!st.plan.keepSpecial && st.plan.tools == nil)
		if tools := st.plan.tools; tools != nil {
			c.calls = tools.format.NewParser(tools.names)
		}
	}
	return c
}

// run reads events until the sequence's end, the stream's, or a stop string.
func (c *choice) run() {
	defer c.cancel()
	if c.early != nil {
		c.step(c.emit(c.early))
		return
	}
	for {
		select {
		case <-c.ctx.Done():
			c.end("abort", context.Cause(c.ctx))
			return
		case ev, ok := <-c.events:
			if !ok {
				c.end("error", errors.New("the engine ended a sequence without saying why"))
				return
			}
			if c.step(c.handle(ev)) {
				return
			}
		case <-c.gate.due:
			if c.step(c.release()) {
				return
			}
		}
	}
}

// step ends the choice where it has had its finish, or an error.
func (c *choice) step(finish *Finish, err error) (ended bool) {
	switch {
	case err != nil:
		reason := "error"
		if c.ctx.Err() != nil {
			reason = "abort"
		}
		c.end(reason, err)
	case finish != nil:
		c.end(finish.Reason.String(), nil)
	default:
		return false
	}
	return true
}

func (c *choice) end(reason string, err error) {
	s := c.stream.svc
	t := times{c.stream.start, c.scheduled, c.first, c.last, s.now()}
	s.metrics.ended(reason, len(c.seq.Prompt), c.generated, t)
	c.traceStages(reason, t)
	c.stream.choiceEnded(err)
}

// handle does one event, and returns the choice's Finish if it was the last.
func (c *choice) handle(ev Event) (*Finish, error) {
	if ev.Err != nil {
		return nil, ev.Err
	}
	if !ev.Scheduled.IsZero() {
		c.scheduled = ev.Scheduled
	}
	if len(ev.Prompt) > 0 {
		if err := c.prompt.addScores(ev.PromptFirst, ev.Prompt); err != nil {
			return nil, err
		}
	}
	if !ev.HasToken && ev.Finish == NotFinished {
		return nil, nil
	}
	if c.seq.PromptLogprobs >= 0 && !c.prompt.scored() {
		return nil, errors.New("the engine went on before the prompt was scored")
	}
	d := &Delta{Index: c.seq.Index}
	stop, err := c.addToken(d, ev)
	if err != nil {
		return nil, err
	}
	switch {
	case stop != "":
		c.cancel()
		d.Finish = &Finish{Reason: FinishStop, StopString: stop}
	case ev.Finish != NotFinished:
		d.Finish = c.finish(d, ev)
	}
	if d.Finish != nil {
		d.Finish.CompletionTokens = c.generated
	}
	c.readCalls(d)
	if p := c.pending; p != nil {
		d.Text, d.ToolCalls, c.pending = p.Text+d.Text, append(p.ToolCalls, d.ToolCalls...), nil
	}
	return c.emit(d)
}

// addToken puts the event's token in the delta; stop is the stop string that it
// completes.
func (c *choice) addToken(d *Delta, ev Event) (stop string, err error) {
	if !ev.HasToken {
		return "", nil
	}
	c.count()
	offset := c.offset
	if !c.endsWith(ev) {
		d.TokenIDs = []int32{ev.Token}
		d.Text, stop = c.decode(ev.Token)
	}
	if c.seq.Logprobs >= 0 {
		if ev.Scores == nil {
			return "", fmt.Errorf("the engine sent token %d without its log-probability", ev.Token)
		}
		t, err := c.stream.svc.tokenLogprob(ev.Token, ev.Scores, offset)
		if err != nil {
			return "", err
		}
		d.Logprobs = []TokenLogprob{t}
	}
	return stop, nil
}

// decode is the text that a token lets out, and the stop string that it
// completes.
func (c *choice) decode(id int32) (text, stop string) {
	if c.decoder == nil || c.hidden(id) {
		return "", ""
	}
	piece := c.decoder.Push(id)
	c.offset += utf8.RuneCountInString(piece)
	if c.generated <= c.seq.Sampling.MinTokens {
		return piece, "" // too early for a stop string
	}
	return c.stop.push(piece)
}

// hidden reports whether a token is a special one to be skipped where the decoder
// shows them.
func (c *choice) hidden(id int32) bool {
	p := c.stream.plan
	return p.tools != nil && !p.keepSpecial && !p.tools.marks[id] && c.stream.svc.model.Tokenizer.IsSpecial(id)
}

// endsWith reports whether the event's token is the stop token that ends the
// choice: it isn't part of the output.
func (c *choice) endsWith(ev Event) bool {
	return ev.Finish == FinishStop && slices.Contains(c.seq.StopTokens, ev.Token)
}

// finish lets out what was held back; a stop string may still be met in it.
func (c *choice) finish(d *Delta, ev Event) *Finish {
	f := &Finish{Reason: ev.Finish}
	if ev.HasToken && c.endsWith(ev) {
		f.StopToken, f.HasStopToken = ev.Token, true
		f.EOS = slices.Contains(c.stream.svc.model.EOS, ev.Token)
	}
	if c.decoder == nil {
		return f
	}
	out, stop := c.stop.push(c.decoder.Flush())
	d.Text += out
	if stop != "" {
		return &Finish{Reason: FinishStop, StopString: stop}
	}
	d.Text += c.stop.flush()
	return f
}

func (c *choice) count() {
	s := c.stream.svc
	now := s.now()
	if c.first.IsZero() {
		c.first = now
		s.metrics.firstToken.Observe(now.Sub(c.stream.start).Seconds())
	} else {
		s.metrics.interToken.Observe(now.Sub(c.last).Seconds())
	}
	c.last = now
	c.generated++
	c.stream.usage.Generated(1)
	s.traffic.generated.Add(1)
	s.metrics.generationTokens.Inc()
}
