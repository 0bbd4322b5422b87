package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/sullae/sullae/coordinator/group"
)

// loading shows how far each worker has loaded: bars on a terminal, a log line
// at the end of each elsewhere.
type loading struct {
	log  *slog.Logger
	mu   sync.Mutex
	view *mpb.Progress // nil: not a terminal
	bars map[string]*mpb.Bar
	done bool
}

func newLoading(log *slog.Logger) *loading {
	l := &loading{log: log, bars: map[string]*mpb.Bar{}}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		l.view = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(40))
	}
	return l
}

// progress is coordinator.Config.OnProgress.
func (l *loading) progress(p group.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.view == nil || l.done {
		if p.Ready {
			l.log.Info("worker loaded", "worker", p.Worker, "rank", p.Rank, "bytes", p.Total)
		}
		return
	}
	b := l.bars[p.Worker]
	if b == nil {
		b = l.view.AddBar(max(p.Total, 1),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("loading %s ", p.Worker))),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f  "), decor.AverageETA(decor.ET_STYLE_GO)))
		l.bars[p.Worker] = b
	}
	if p.Total > 0 {
		b.SetTotal(p.Total, false)
	}
	b.SetCurrent(p.Done)
	if p.Ready {
		b.SetTotal(-1, true)
	}
}

// close ends the view; later progress is logged.
func (l *loading) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	l.done = true
	if l.view != nil {
		for _, b := range l.bars {
			b.Abort(false)
		}
		l.view.Wait()
	}
}

// logProgress is for a coordinator without a terminal.
func logProgress(log *slog.Logger) func(group.Progress) {
	return (&loading{log: log, done: true}).progress
}
