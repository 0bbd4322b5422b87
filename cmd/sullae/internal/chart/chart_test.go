package chart

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
)

// elements reads a picture as XML, and counts its elements.
func elements(t *testing.T, c Chart) map[string]int {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Errorf("not a number in %s", &b)
	}
	n := map[string]int{}
	for d := xml.NewDecoder(&b); ; {
		tok, err := d.Token()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok {
			n[e.Name.Local]++
		}
	}
}

func TestWellFormed(t *testing.T) {
	line := Series{"p50 <&\"> 가", []Point{{1, 10}, {2, 20}, {16, 5}}}
	c := Chart{Title: "a < b & c", Row: 2, Panels: []Panel{
		{Title: "x", X: "load", Y: "s", Series: []Series{line, line}},
		{Title: "one point", Series: []Series{{"a", []Point{{4, 0}}}}},
		{Title: "nothing"},
		{Title: "zero", Series: []Series{{"a", []Point{{0, 0}, {0, 0}}}}},
	}}
	n := elements(t, c)
	if n["svg"] != 1 || n["polyline"] != 4 || n["circle"] != 9 {
		t.Errorf("got %v", n)
	}
	elements(t, Chart{})
}

func TestAxes(t *testing.T) {
	if y := newYAxis(87); len(y.ticks) != 6 || y.ticks[5] != 100 || y.at(0) != top+plotHeight || y.at(100) != top {
		t.Errorf("y %v", y.ticks)
	}
	x := newXAxis([]float64{1, 2, 4, 8})
	if a, b := x.at(2)-x.at(1), x.at(8)-x.at(4); math.Abs(a-b) > 1e-9 {
		t.Errorf("powers: steps of %v and %v", a, b)
	}
	x = newXAxis([]float64{2, 4, 6})
	if a, b := x.at(4)-x.at(2), x.at(6)-x.at(4); math.Abs(a-b) > 1e-9 || x.at(2) <= left {
		t.Errorf("linear: steps of %v and %v", a, b)
	}
	for v, want := range map[float64]float64{1: 1, 1.1: 2, 3: 5, 0.06: 0.1, 70: 100} {
		if got := niceStep(v); math.Abs(got-want) > 1e-12 {
			t.Errorf("niceStep(%v) = %v, want %v", v, got, want)
		}
	}
	var many []float64
	for i := range 40 {
		many = append(many, float64(i+1))
	}
	if x := newXAxis(many); len(x.ticks) > maxTicks || x.ticks[len(x.ticks)-1] != 40 {
		t.Errorf("ticks %v", x.ticks)
	}
}
