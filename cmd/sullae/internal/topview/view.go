// Package topview draws the cluster on a terminal's whole screen, for `sullae
// top`. It is pure: a Model takes statuses, and gives lines.
package topview

import (
	"fmt"
	"strings"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/status"
)

// history is how many seconds of throughput are drawn.
const history = 60

// Model is what has been seen so far.
type Model struct {
	now    status.Cluster
	at     time.Time
	seen   bool
	err    error
	tokens []float64 // generated per second, oldest first
	rate   rates
	sent   map[string]float64 // bytes per second, by worker
}

// rates are per second.
type rates struct{ generated, prompt, requests, steps float64 }

// Update takes a status that was read at a time.
func (m *Model) Update(s status.Cluster, at time.Time) {
	if d := at.Sub(m.at).Seconds(); m.seen && d > 0 {
		per := func(now, before int64) float64 {
			if now < before {
				return 0 // the coordinator is another one, or the epoch
			}
			return float64(now-before) / d
		}
		a, b := s.Traffic, m.now.Traffic
		m.rate = rates{per(a.GenerationTokens, b.GenerationTokens), per(a.PromptTokens, b.PromptTokens), per(a.Requests, b.Requests), per(int64(s.Group.Step), int64(m.now.Group.Step))}
		before := map[string]int64{}
		for _, w := range m.now.Workers {
			before[w.ID] = w.BytesSent
		}
		m.sent = map[string]float64{}
		for _, w := range s.Workers {
			if was, ok := before[w.ID]; ok {
				m.sent[w.ID] = per(w.BytesSent, was)
			}
		}
		m.tokens = append(m.tokens, m.rate.generated)
		if n := len(m.tokens) - history; n > 0 {
			m.tokens = m.tokens[n:]
		}
	}
	m.now, m.at, m.seen, m.err = s, at, true, nil
}

// Fail says that there was no status.
func (m *Model) Fail(err error) { m.err = err }

// Lines draws a screen of a size.
func (m *Model) Lines(width, height int, p screen.Palette) []string {
	var out []string
	add := func(cells ...screen.Cell) { out = append(out, fit(cells, width)) }
	text := func(s string) screen.Cell { return screen.Cell{Text: screen.Printable(s)} }
	dim := func(s string) screen.Cell { return screen.Cell{Text: screen.Printable(s), Style: p.Dim} }
	if m.err != nil {
		add(screen.Cell{Text: screen.Printable(m.err.Error()), Style: p.Red})
	}
	if !m.seen {
		return clip(append(out, ""), height)
	}
	s, g := m.now, m.now.Group
	phase := screen.Cell{Text: g.Phase, Style: p.Yellow}
	if g.Phase == "serving" {
		phase.Style = p.Green
	}
	if g.Reason != "" {
		phase.Text += ": " + screen.Printable(g.Reason)
	}
	add(screen.Cell{Text: "sullae ", Style: p.Bold}, text(s.Model.Name+"  "), phase, dim(fmt.Sprintf("  epoch %d  step %d (%.0f/s)  %s", g.Epoch, g.Step, m.rate.steps, s.Version)))
	add(dim("queue   "), text(fmt.Sprintf("%d running, %d waiting", g.Running, g.Waiting)), dim("   requests "), text(fmt.Sprintf("%.1f/s", m.rate.requests)))
	add(dim("tokens  "), text(fmt.Sprintf("%.0f/s generated, %.0f/s of prompts  ", m.rate.generated, m.rate.prompt)), screen.Cell{Text: spark(m.tokens), Style: p.Green})
	add(dim("KV      "), text(bar(g.KVBlocksTotal-g.KVBlocksFree, g.KVBlocksTotal, 30)+fmt.Sprintf(" %d of %d blocks", g.KVBlocksTotal-g.KVBlocksFree, g.KVBlocksTotal)))
	out = append(out, "")
	for _, line := range strings.Split(strings.TrimRight(screen.Table(m.workers(p)), "\n"), "\n") {
		out = append(out, cut(line, width))
	}
	out = append(out, "")
	left := max(height-len(out)-1, 0)
	events := s.Events
	if len(events) > left {
		events = events[len(events)-left:]
	}
	for _, e := range events {
		style := p.Dim
		if e.Kind == "lost" || e.Kind == "ended" {
			style = p.Red
		}
		subject := e.Worker
		if subject == "" {
			subject = fmt.Sprintf("epoch %d", e.Epoch)
		}
		add(dim(time.UnixMilli(e.UnixMs).Format("15:04:05 ")), screen.Cell{Text: fmt.Sprintf("%-8s", e.Kind), Style: style}, text(subject+"  "+e.Text))
	}
	out = clip(out, height-1)
	for len(out) < height-1 {
		out = append(out, "")
	}
	return append(out, fit([]screen.Cell{dim("q quits")}, width))
}

// workers is the table of workers.
func (m *Model) workers(p screen.Palette) [][]screen.Cell {
	right := func(s string) screen.Cell { return screen.Cell{Text: s, Right: true} }
	head := []screen.Cell{{Text: "RANK", Right: true}, {Text: "WORKER"}, {Text: "HEALTH"}, {Text: "HEADS"}, {Text: "FFN"}, {Text: "STEP: # computing + exchanging . waiting"}, {Text: "SENT", Right: true}, {Text: "MEMORY", Right: true}, {Text: "BACKEND"}}
	for i := range head {
		head[i].Style = p.Dim
	}
	rows := [][]screen.Cell{head}
	slowest := 0.0
	for _, w := range m.now.Workers {
		slowest = max(slowest, w.ComputeMs+w.WaitMs)
	}
	lost := m.lost()
	several := len(m.now.Groups) > 1
	for _, w := range m.now.Workers {
		health := screen.Cell{Text: w.Health, Style: p.Green}
		switch {
		case lost[w.ID]:
			health = screen.Cell{Text: "lost", Style: p.Red}
		case w.Health != "alive":
			health.Style = p.Red
		case w.Straggler:
			health = screen.Cell{Text: "slow", Style: p.Yellow}
		case w.Drained:
			health = screen.Cell{Text: "drained", Style: p.Yellow}
		case w.Rank < 0:
			health = screen.Cell{Text: "spare", Style: p.Dim}
		}
		row := []screen.Cell{right("-"), {Text: screen.Printable(w.ID)}, health, {Text: "-"}, {Text: "-"}, {Text: "-"}, right("-"), right("-"), {Text: screen.Printable(fmt.Sprintf("%s x%d", w.Backend, w.Threads))}}
		if w.Rank >= 0 {
			name := fmt.Sprint(w.Rank)
			if several {
				name = w.Group + "." + name
			}
			row[0], row[3].Text, row[4].Text = right(name), span(w.Heads), span(w.FFN)
			row[5].Text = phases(w, slowest, 16) + fmt.Sprintf(" %s %s %s", ms(w.ComputeMs), ms(max(w.WaitMs-w.BlockedMs, 0)), ms(w.BlockedMs))
			row[6], row[7] = right(screen.Bytes(int64(m.sent[w.ID]))+"/s"), right(screen.Bytes(w.WeightBytes+w.KVBytes))
		}
		rows = append(rows, row)
	}
	return rows
}

// lost are workers that an event of this epoch says are lost.
func (m *Model) lost() map[string]bool {
	out := map[string]bool{}
	for _, e := range m.now.Events {
		if e.Kind == "lost" && e.Epoch == m.now.Group.Epoch {
			out[e.Worker] = true
		}
	}
	return out
}

func span(r [2]int) string { return fmt.Sprintf("%d-%d", r[0], r[1]-1) }

func ms(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.2fms", v)
	}
	return fmt.Sprintf("%.0fms", v)
}
