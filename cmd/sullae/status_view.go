package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/status"
	"github.com/sullae/sullae/shard/plan"
)

// statusView is the status for people.
func statusView(s *status.Cluster, p screen.Palette) string {
	row := func(name, text string) []screen.Cell {
		return []screen.Cell{{Text: name, Style: p.Dim}, {Text: screen.Printable(text)}}
	}
	g := s.Group
	id := s.Model.CheckpointID
	if len(id) > 12 {
		id = id[:12]
	}
	phase := screen.Cell{Text: g.Phase, Style: phaseStyle(g.Phase, p)}
	if g.Reason != "" {
		phase.Text += ": " + screen.Printable(g.Reason)
	}
	head := [][]screen.Cell{
		row("cluster", fmt.Sprintf("%s, coordinator %s, version %s", s.Cluster, s.Coordinator, s.Version)),
		row("model", fmt.Sprintf("%s (%s), context %d, checkpoint %s", s.Model.Name, s.Model.Architecture, s.Model.MaxModelLen, id)),
		{{Text: "group", Style: p.Dim}, phase},
		row("", fmt.Sprintf("epoch %d, step %d, %d of %d workers", g.Epoch, g.Step, g.WorldSize, g.WorkersWanted)),
		row("queue", fmt.Sprintf("%d running, %d waiting", g.Running, g.Waiting)),
		row("KV", kvUse(g)),
	}
	if s.NodeCertificateExpires != "" {
		head = append(head, row("nodes' TLS", "certificate valid until "+s.NodeCertificateExpires))
	}
	if len(s.Groups) > 1 {
		head[2][0].Text = "groups"
		head[3] = row("", fmt.Sprintf("%d of %d workers", g.WorldSize, g.WorkersWanted))
		for _, one := range s.Groups {
			head = append(head, row("group "+one.Name, groupLine(one)))
		}
	}
	if len(s.Workers) == 0 {
		return screen.Table(head) + "\nno workers\n"
	}
	return screen.Table(head) + "\n" + screen.Table(workerRows(s.Workers, len(s.Groups) > 1, g.Phase == "serving", p))
}

// groupLine is one of several groups.
func groupLine(g status.Group) string {
	out := g.Phase
	if g.Reason != "" {
		out += ": " + g.Reason
	}
	return fmt.Sprintf("%s; epoch %d, step %d, %d of %d workers, %d running, %d waiting, %s",
		out, g.Epoch, g.Step, g.WorldSize, g.WorkersWanted, g.Running, g.Waiting, kvUse(g))
}

func phaseStyle(phase string, p screen.Palette) screen.Style {
	switch phase {
	case "serving":
		return p.Green
	case "closed":
		return p.Red
	}
	return p.Yellow
}

func kvUse(g status.Group) string {
	if g.KVBlocksTotal <= 0 {
		return "no blocks"
	}
	used := g.KVBlocksTotal - g.KVBlocksFree
	return fmt.Sprintf("%d of %d blocks used (%d %%), %s", used, g.KVBlocksTotal, 100*used/g.KVBlocksTotal, g.KVType)
}

// workerRows is the table of workers; of several groups, a rank is "group.rank".
func workerRows(workers []status.Worker, several, serving bool, p screen.Palette) [][]screen.Cell {
	right := func(s string) screen.Cell { return screen.Cell{Text: s, Right: true} }
	left := func(s string) screen.Cell { return screen.Cell{Text: screen.Printable(s)} }
	head := []screen.Cell{right("rank"), left("worker"), left("host"), left("backend"), right("threads"),
		right("heads"), right("FFN"), right("vocabulary"), right("weights"), right("KV"), left("health"), right("loaded")}
	for i := range head {
		head[i].Style = p.Dim
	}
	rows := [][]screen.Cell{head}
	for _, w := range workers {
		health := left(w.Health)
		health.Style = p.Red
		if w.Health == "alive" {
			health.Style = p.Green
		}
		if w.Straggler {
			health.Text, health.Style = w.Health+", slow", p.Yellow
		}
		if w.Drained {
			health.Text, health.Style = w.Health+", drained", p.Yellow
		}
		if w.Refused != "" {
			health.Text, health.Style = "refused: "+screen.Printable(w.Refused), p.Red
		}
		row := []screen.Cell{right("-"), left(w.ID), left(w.Host), left(w.Backend), right(strconv.Itoa(w.Threads)),
			right("-"), right("-"), right("-"), right("-"), right("-"), health, right("-")}
		if w.Rank >= 0 {
			span := func(r [2]int) screen.Cell { return right(plan.Span{From: r[0], To: r[1]}.String()) }
			if row[0] = right(strconv.Itoa(w.Rank)); several {
				row[0].Text = w.Group + "." + row[0].Text
			}
			row[5], row[6], row[7] = span(w.Heads), span(w.FFN), span(w.Vocab)
			row[8], row[9], row[11] = right(screen.Bytes(w.WeightBytes)), right(screen.Bytes(w.KVBytes)), right(loaded(w, serving))
		}
		rows = append(rows, row)
	}
	return rows
}

// loaded is the loaded part of a rank's weights, and where from. A group serves
// when all of them are, whatever their size was before they were packed.
func loaded(w status.Worker, serving bool) string {
	switch {
	case serving:
		var from []string
		for _, source := range slices.Sorted(maps.Keys(w.LoadedFrom)) {
			if n := w.LoadedFrom[source]; n > 0 {
				from = append(from, source+" "+screen.Bytes(n))
			}
		}
		return strings.Join(append([]string{"100 %"}, from...), ", ")
	case w.WeightBytes <= 0:
		return "-"
	}
	return fmt.Sprintf("%d %%", min(100, int64(100*(float64(w.LoadedBytes)/float64(w.WeightBytes)))))
}
