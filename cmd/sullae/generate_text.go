package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// textOutput streams text for a reader: the first choice as it comes, later ones
// when those before them have ended.
type textOutput struct {
	std       streams
	ids       bool // the model has no text: token ids stand for it
	maxTokens int32
	clean     func(string) string // for the output that is written to
	dim       screen.Style

	choices []textChoice
	current int
	midLine bool // the output ends within a line
}

// textChoice is what has come of a choice, and whether it is its last.
type textChoice struct {
	waiting  []string // not yet written
	logprobs []*sullaev1.TokenLogprob
	finish   *sullaev1.Finish
	begun    bool
}

func newTextOutput(std streams, n int, ids bool, maxTokens int32) *textOutput {
	o := &textOutput{std: std, ids: ids, maxTokens: maxTokens, choices: make([]textChoice, n), clean: func(s string) string { return s }}
	if screen.IsTerminal(std.out) {
		o.clean = screen.Printable
	}
	o.dim = screen.For(std.out).Dim
	return o
}

// add takes in a delta and writes what may be written.
func (o *textOutput) add(d *sullaev1.Delta) error {
	c := &o.choices[d.GetIndex()]
	if o.ids {
		for _, id := range d.GetTokenIds() {
			part := "," + strconv.Itoa(int(id))
			if !c.begun && len(c.waiting) == 0 {
				part = part[1:]
			}
			c.waiting = append(c.waiting, part)
		}
	} else if d.GetText() != "" {
		c.waiting = append(c.waiting, d.GetText())
	}
	c.logprobs = append(c.logprobs, d.GetLogprobs()...)
	if d.GetFinish() != nil {
		c.finish = d.GetFinish()
	}
	for ; o.current < len(o.choices); o.current++ {
		if err := o.write(&o.choices[o.current]); err != nil {
			return err
		}
		if o.choices[o.current].finish == nil {
			break
		}
	}
	return nil
}

// write writes what waits of the current choice, and its end if it has ended.
func (o *textOutput) write(c *textChoice) error {
	if !c.begun && len(o.choices) > 1 && (len(c.waiting) > 0 || c.finish != nil) {
		if err := o.print(o.dim.Paint(fmt.Sprintf("--- %d of %d", o.current+1, len(o.choices))) + "\n"); err != nil {
			return err
		}
	}
	for _, text := range c.waiting {
		c.begun = true
		if err := o.print(o.clean(text)); err != nil {
			return err
		}
	}
	c.waiting = nil
	if c.finish == nil {
		return nil
	}
	o.breakLine()
	if c.finish.GetReason() == sullaev1.FinishReason_FINISH_REASON_LENGTH && o.maxTokens > 0 && screen.IsTerminal(o.std.err) {
		fmt.Fprintln(o.std.err, screen.For(o.std.err).Dim.Paint(fmt.Sprintf("(cut at --max-tokens %d)", o.maxTokens)))
	}
	if len(c.logprobs) == 0 {
		return nil
	}
	return o.print(logprobTable(c.logprobs))
}

func (o *textOutput) print(s string) error {
	if s == "" {
		return nil
	}
	o.midLine = !strings.HasSuffix(s, "\n")
	_, err := io.WriteString(o.std.out, s)
	return err
}

// breakLine ends the line that the output is in.
func (o *textOutput) breakLine() {
	if o.midLine {
		_ = o.print("\n") // whoever reads this may be gone
	}
}

// end reports a stream that ended too early.
func (o *textOutput) end() error {
	if o.current < len(o.choices) {
		return fmt.Errorf("the server ended its answer before choice %d of %d was finished", o.current+1, len(o.choices))
	}
	return nil
}

// logprobTable is one row for each token: its id, log-probability and text, and
// the likeliest tokens in its place.
func logprobTable(list []*sullaev1.TokenLogprob) string {
	rows := [][]screen.Cell{{{Text: "token", Right: true}, {Text: "logprob", Right: true}, {Text: "text"}, {Text: "likeliest"}}}
	for _, l := range list {
		var top []string
		for _, a := range l.GetTop() {
			top = append(top, fmt.Sprintf("%q %.4f", a.GetToken(), a.GetLogprob()))
		}
		rows = append(rows, []screen.Cell{
			{Text: strconv.Itoa(int(l.GetTokenId())), Right: true},
			{Text: fmt.Sprintf("%.4f", l.GetLogprob()), Right: true},
			{Text: strconv.Quote(l.GetToken())}, {Text: strings.Join(top, "  ")},
		})
	}
	return screen.Table(rows)
}
