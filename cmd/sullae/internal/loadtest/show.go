package loadtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/chart"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

func (l Load) String() string {
	if l.Rate > 0 {
		return fmt.Sprintf("%g/s", l.Rate)
	}
	return fmt.Sprintf("%d at once", l.Concurrency)
}

// Table is the report for people; times are in milliseconds.
func (r *Report) Table(p screen.Palette) string {
	right := func(format string, v any) screen.Cell {
		return screen.Cell{Text: fmt.Sprintf(format, v), Right: true}
	}
	three := func(s Spread) []screen.Cell {
		return []screen.Cell{right("%.1f", 1e3*s.P50), right("%.1f", 1e3*s.P90), right("%.1f", 1e3*s.P99)}
	}
	group := []screen.Cell{{}, {}, {}, {}, {}, {Text: "TTFT ms", Right: true}, {}, {}, {Text: "ITL ms", Right: true}, {}, {}, {Text: "E2E ms", Right: true}, {}, {}}
	head := []screen.Cell{{Text: "load", Right: true}, {Text: "ok", Right: true}, {Text: "req/s", Right: true}, {Text: "in tok/s", Right: true}, {Text: "out tok/s", Right: true}}
	for range 3 {
		head = append(head, screen.Cell{Text: "p50", Right: true}, screen.Cell{Text: "p90", Right: true}, screen.Cell{Text: "p99", Right: true})
	}
	head = append(head, screen.Cell{Text: "errors"})
	for i := range head {
		head[i].Style = p.Dim
	}
	for i := range group {
		group[i].Style = p.Dim
	}
	rows := [][]screen.Cell{group, head}
	for _, pt := range r.Points {
		row := []screen.Cell{right("%v", pt.Load), right("%d", pt.OK), right("%.2f", pt.RequestsPerSecond), right("%.1f", pt.InputPerSecond), right("%.1f", pt.OutputPerSecond)}
		row = append(append(append(row, three(pt.TTFT)...), three(pt.ITL)...), three(pt.E2E)...)
		rows = append(rows, append(row, screen.Cell{Text: errorsText(pt.Errors), Style: p.Red}))
	}
	return screen.Table(rows)
}

func errorsText(errors map[string]int) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(errors)) {
		all = append(all, fmt.Sprintf("%d %s", errors[k], k))
	}
	return strings.Join(all, ", ")
}

// Draw writes a picture: throughput, time to the first token and between tokens
// against load, a row for open loads and one for closed ones.
func (r *Report) Draw(w io.Writer) error {
	c := chart.Chart{
		Title: fmt.Sprintf("%s at %s", r.Model, r.Target), Row: 3,
		Note: fmt.Sprintf("%s, %d tokens in, %d out, %s", r.Endpoint, r.InputLen, r.OutputLen, r.Started.Format("2006-01-02 15:04 MST")),
	}
	for _, kind := range []struct {
		x  string
		of func(Load) float64
	}{
		{"requests per second offered", func(l Load) float64 { return l.Rate }},
		{"requests at once", func(l Load) float64 { return float64(l.Concurrency) }},
	} {
		line := func(name string, y func(Point) float64) chart.Series {
			s := chart.Series{Name: name}
			for _, p := range r.Points {
				if x := kind.of(p.Load); x > 0 {
					s.Points = append(s.Points, chart.Point{X: x, Y: y(p)})
				}
			}
			slices.SortStableFunc(s.Points, func(a, b chart.Point) int { return cmp.Compare(a.X, b.X) })
			return s
		}
		spread := func(of func(Point) Spread) []chart.Series {
			return []chart.Series{
				line("p50", func(p Point) float64 { return 1e3 * of(p).P50 }),
				line("p90", func(p Point) float64 { return 1e3 * of(p).P90 }),
				line("p99", func(p Point) float64 { return 1e3 * of(p).P99 }),
			}
		}
		out := line("output", func(p Point) float64 { return p.OutputPerSecond })
		if len(out.Points) == 0 {
			continue
		}
		c.Panels = append(c.Panels,
			chart.Panel{Title: "Throughput", X: kind.x, Y: "tokens per second", Series: []chart.Series{out, line("input", func(p Point) float64 { return p.InputPerSecond })}},
			chart.Panel{Title: "Time to the first token", X: kind.x, Y: "ms", Series: spread(func(p Point) Spread { return p.TTFT })},
			chart.Panel{Title: "Between tokens", X: kind.x, Y: "ms", Series: spread(func(p Point) Spread { return p.ITL })})
	}
	return c.Write(w)
}
