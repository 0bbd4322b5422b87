package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// figures are measurements by name, in the order in which they first came.
type figures struct {
	names  []string
	values map[string][]float64
	units  map[string]string
}

func (f *figures) add(name, unit string, v float64) {
	if f.values == nil {
		f.values, f.units = map[string][]float64{}, map[string]string{}
	}
	if f.values[name] == nil {
		f.names = append(f.names, name)
		f.units[name] = unit
	}
	f.values[name] = append(f.values[name], v)
}

// measure notes a duration.
func (c *Cluster) measure(name string, d time.Duration) { c.note(name, "s", d.Seconds()) }

func (c *Cluster) note(name, unit string, v float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.figures.add(name, unit, v)
}

// Report is a run's outcome.
type Report struct {
	Violations []string // promises that were broken
	Table      string   // of figures
}

// Report is the outcome so far.
func (c *Cluster) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-52s %5s %9s %9s %9s\n", "figure", "n", "least", "median", "most")
	for _, name := range c.figures.names {
		v := slices.Sorted(slices.Values(c.figures.values[name]))
		fmt.Fprintf(&b, "%-52s %5d %9.2f %9.2f %9.2f %s\n", name, len(v), v[0], v[len(v)/2], v[len(v)-1], c.figures.units[name])
	}
	return Report{Violations: slices.Clone(c.violations), Table: b.String()}
}
