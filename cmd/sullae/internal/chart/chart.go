// Package chart draws line charts as SVG.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Chart is panels side by side, some to a row.
type Chart struct {
	Title  string
	Note   string // below the title
	Panels []Panel
	Row    int // panels in a row
}

// Panel is lines over one pair of axes, which begin at 0 unless the x values
// span so much that they are shown as powers.
type Panel struct {
	Title, X, Y string
	Series      []Series
}

// Series is one line, by rising x.
type Series struct {
	Name   string
	Points []Point
}

// Point is a point of a line.
type Point struct{ X, Y float64 }

// Sizes in pixels.
const (
	panelWidth, panelHeight           = 380, 290
	left, right, top, bottom, heading = 62, 14, 34, 70, 52
	plotWidth, plotHeight             = panelWidth - left - right, panelHeight - top - bottom
)

// colours are told apart by those who see no red or green, too (Okabe and Ito).
var colours = []string{"#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"}

// Write writes the picture.
func (c Chart) Write(w io.Writer) error {
	row := max(1, min(c.Row, len(c.Panels)))
	width, height := row*panelWidth, heading+(len(c.Panels)+row-1)/row*panelHeight
	b := &buffer{}
	b.put(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" fill="#222">`+"\n", width, height, width, height)
	b.put(`<rect width="100%%" height="100%%" fill="#fff"/>` + "\n")
	b.text(left-46, 22, "start", `font-size="15" font-weight="bold"`, c.Title)
	b.text(left-46, 40, "start", `fill="#666"`, c.Note)
	for i, p := range c.Panels {
		b.put(`<g transform="translate(%d,%d)">`+"\n", i%row*panelWidth, heading+i/row*panelHeight)
		p.draw(b)
		b.put("</g>\n")
	}
	b.put("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func (p Panel) draw(b *buffer) {
	xs, highest := p.extent()
	x, y := newXAxis(xs), newYAxis(highest)
	b.text(left, 18, "start", `font-size="12" font-weight="bold"`, p.Title)
	for _, t := range y.ticks {
		b.put(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`+"\n", left, y.at(t), left+plotWidth, y.at(t))
		b.text(left-6, y.at(t)+4, "end", "", number(t))
	}
	for _, t := range x.ticks {
		b.put(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#888"/>`+"\n", x.at(t), top+plotHeight, x.at(t), top+plotHeight+4)
		b.text(x.at(t), top+plotHeight+16, "middle", "", number(t))
	}
	b.put(`<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>`+"\n", left, top, top+plotHeight, left+plotWidth)
	b.text(left+plotWidth/2, top+plotHeight+32, "middle", `fill="#666"`, p.X)
	b.put(`<g transform="rotate(-90)">`)
	b.text(-(top + plotHeight/2), 13, "middle", `fill="#666"`, p.Y)
	b.put("</g>\n")
	for i, s := range p.Series {
		colour := colours[i%len(colours)]
		b.put(`<polyline fill="none" stroke="%s" stroke-width="1.8" points="`, colour)
		for _, pt := range s.Points {
			b.put("%.1f,%.1f ", x.at(pt.X), y.at(pt.Y))
		}
		b.put("\"/>\n")
		for _, pt := range s.Points {
			b.put(`<circle cx="%.1f" cy="%.1f" r="2.6" fill="%s"><title>`, x.at(pt.X), y.at(pt.Y), colour)
			b.escaped(fmt.Sprintf("%s: %s at %s", s.Name, number(pt.Y), number(pt.X)))
			b.put("</title></circle>\n")
		}
		key := float64(left + i*plotWidth/max(1, len(p.Series)))
		b.put(`<rect x="%.1f" y="%d" width="10" height="3" fill="%s"/>`+"\n", key, top+plotHeight+46, colour)
		b.text(key+14, top+plotHeight+51, "start", "", s.Name)
	}
}

// extent is the distinct x values, rising, and the highest y.
func (p Panel) extent() (xs []float64, highest float64) {
	for _, s := range p.Series {
		for _, pt := range s.Points {
			xs, highest = append(xs, pt.X), max(highest, pt.Y)
		}
	}
	slices.Sort(xs)
	return slices.Compact(xs), highest
}

// axis places values along one side.
type axis struct {
	at    func(float64) float64
	ticks []float64
}

// spanned is from which ratio of the x values on they are shown as powers.
const spanned = 8

// maxTicks is how many x values fit below a panel.
const maxTicks = 8

func newXAxis(xs []float64) axis {
	if len(xs) == 0 {
		xs = []float64{0, 1}
	}
	low, high, scale := 0.0, xs[len(xs)-1], func(v float64) float64 { return v }
	if xs[0] > 0 && high/xs[0] >= spanned {
		low, scale = xs[0], math.Log2
	}
	if high <= low {
		high = low + 1
	}
	a := axis{ticks: xs}
	for len(a.ticks) > maxTicks { // every second, and the last
		var half []float64
		for i := len(a.ticks) - 1; i >= 0; i -= 2 {
			half = append(half, a.ticks[i])
		}
		slices.Reverse(half)
		a.ticks = half
	}
	const margin = 14
	a.at = func(v float64) float64 {
		return left + margin + (scale(v)-scale(low))/(scale(high)-scale(low))*(plotWidth-2*margin)
	}
	return a
}

func newYAxis(highest float64) axis {
	if highest <= 0 {
		highest = 1
	}
	step := niceStep(highest / 5)
	end := math.Ceil(highest/step) * step
	var a axis
	for i := 0; float64(i)*step <= end+step/2; i++ {
		a.ticks = append(a.ticks, float64(i)*step)
	}
	a.at = func(v float64) float64 { return top + plotHeight*(1-v/end) }
	return a
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func number(v float64) string {
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// buffer is the picture's text.
type buffer struct{ bytes.Buffer }

func (b *buffer) put(format string, args ...any) { fmt.Fprintf(b, format, args...) }

// escaped puts a text that is no markup.
func (b *buffer) escaped(s string) { _ = xml.EscapeText(b, []byte(s)) } // a buffer takes everything

func (b *buffer) text(x, y float64, anchor, style, s string) {
	b.put(`<text x="%.1f" y="%.1f" text-anchor="%s" %s>`, x, y, anchor, style)
	b.escaped(s)
	b.put("</text>\n")
}
