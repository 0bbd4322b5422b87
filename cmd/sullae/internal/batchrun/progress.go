package batchrun

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

const (
	redraw = 200 * time.Millisecond
	// plainEvery is how often a line is written where there is no terminal.
	plainEvery = 5 * time.Second
	// windowSize is how many redraws the rates look back.
	windowSize = 50
)

// Progress shows a tally until it is closed: as a bar on a terminal, else as
// lines.
type Progress struct {
	w     io.Writer
	tally func() Tally
	begun time.Time
	stop  chan struct{}
	gone  sync.WaitGroup

	mu    sync.Mutex
	past  []sample // the last windowSize, oldest first
	retry string   // why something was sent again, since the last line
}

type sample struct {
	at time.Time
	Tally
}

// NewProgress begins to show; every is the time between lines, 0 for 5 s.
func NewProgress(w io.Writer, terminal bool, tally func() Tally, every time.Duration) *Progress {
	p := &Progress{w: w, tally: tally, begun: time.Now(), stop: make(chan struct{})}
	p.past = []sample{{p.begun, tally()}}
	if t := tally(); t.Before > 0 {
		fmt.Fprintf(w, "%d of %d requests are answered already\n", t.Before, t.Total)
	}
	if every == 0 {
		every = plainEvery
	}
	show := func() func() { return p.lines(every) }
	if terminal {
		show = p.bar
	}
	draw := show()
	p.gone.Go(func() {
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				p.sample()
				draw()
				return
			case <-tick.C:
				p.sample()
				draw()
			}
		}
	})
	return p
}

// Retrying notes that something is sent again.
func (p *Progress) Retrying(because error, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retry = fmt.Sprintf("%v; again in %v", because, after.Round(time.Second/10))
}

// Close ends it, and writes how the run went.
func (p *Progress) Close() {
	close(p.stop)
	p.gone.Wait()
	t, took := p.tally(), time.Since(p.begun)
	if t.Done == t.Before {
		return
	}
	fmt.Fprintf(p.w, "%d of %d requests answered, %d with an error; %d in %v (%.1f requests/s, %.1f tok/s)\n",
		t.Done, t.Total, t.Failed, t.Done-t.Before, took.Round(time.Second/10),
		float64(t.Done-t.Before)/took.Seconds(), float64(t.Tokens)/took.Seconds())
}

func (p *Progress) sample() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past = append(p.past, sample{time.Now(), p.tally()})
	if len(p.past) > windowSize {
		p.past = p.past[1:]
	}
}

// rates are the newest tally, tokens per second, and the time that is left:
// negative where it can't be told.
func (p *Progress) rates() (t Tally, tokens float64, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, last := p.past[0], p.past[len(p.past)-1]
	if d := last.at.Sub(first.at).Seconds(); d > 0 {
		tokens = float64(last.Tokens-first.Tokens) / d
	}
	left = -1
	// The whole run's rate: requests differ in length, so a short look misleads.
	if done := last.Done - last.Before; done > 0 {
		left = time.Duration(float64(last.at.Sub(p.begun)) / float64(done) * float64(last.Total-last.Done))
	}
	return last.Tally, tokens, left
}

func (p *Progress) takeRetry() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.retry
	p.retry = ""
	return screen.Printable(s)
}

func eta(left time.Duration) string {
	if left < 0 {
		return "-"
	}
	return left.Round(time.Second).String()
}

// lines writes a line now and then.
func (p *Progress) lines(every time.Duration) (draw func()) {
	last := p.begun
	return func() {
		if time.Since(last) < every {
			return
		}
		last = time.Now()
		t, tokens, left := p.rates()
		line := fmt.Sprintf("%d of %d requests (%d failed), %.1f tok/s, %s left", t.Done, t.Total, t.Failed, tokens, eta(left))
		if why := p.takeRetry(); why != "" {
			line += " (" + why + ")"
		}
		fmt.Fprintln(p.w, line)
	}
}

// bar draws on a terminal.
func (p *Progress) bar() (draw func()) {
	view := mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(40), mpb.WithRefreshRate(redraw))
	t := p.tally()
	var mu sync.Mutex
	var status, why string
	said := func(s *string) decor.Decorator {
		return decor.Any(func(decor.Statistics) string {
			mu.Lock()
			defer mu.Unlock()
			return *s
		})
	}
	b := view.AddBar(int64(t.Total),
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.Percentage(), said(&status), said(&why)))
	b.SetCurrent(int64(t.Done))
	var shownUntil time.Time
	return func() {
		t, tokens, left := p.rates()
		retry := p.takeRetry()
		mu.Lock()
		status = fmt.Sprintf("  %.1f tok/s  %s left", tokens, eta(left))
		if t.Failed > 0 {
			status += fmt.Sprintf("  %d failed", t.Failed)
		}
		if retry != "" {
			why, shownUntil = "  "+strings.ReplaceAll(retry, "\n", " "), time.Now().Add(plainEvery)
		} else if time.Now().After(shownUntil) {
			why = ""
		}
		mu.Unlock()
		b.SetCurrent(int64(t.Done))
		select {
		case <-p.stop:
			if t.Done < t.Total {
				b.Abort(false)
			}
			view.Wait()
		default:
		}
	}
}
