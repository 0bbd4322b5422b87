package coordinator

import (
	"fmt"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/group"
)

// Reasons for which a worker cannot join, as a metric's label.
const (
	refusedVersion     = "version"
	refusedCertificate = "certificate"
	refusedClass       = "class"
)

// refused says why a worker cannot join, in a word and in a sentence; "": it can.
func (c *coordinator) refused(w registry.Worker) (reason, why string) {
	if why := group.Incompatible(w); why != "" {
		return refusedVersion, why
	}
	if why := c.vet.refused(w); why != "" {
		return refusedCertificate, why
	}
	var ranks []registry.Worker // one of each group
	for _, g := range c.groups.Groups() {
		if m := g.State().Members; len(m) > 0 {
			ranks = append(ranks, m[0])
		}
	}
	if why := otherClass(w, ranks); why != "" {
		return refusedClass, why
	}
	return "", ""
}

// otherClass says that a worker computes in another arithmetic class than every
// group, so that none can take it, or "".
func otherClass(w registry.Worker, ranks []registry.Worker) string {
	for _, r := range ranks {
		if r.Class == w.Class {
			return ""
		}
	}
	if len(ranks) == 0 {
		return ""
	}
	return fmt.Sprintf("computes in the arithmetic class %s, the group in %s: a group holds workers of one class", w.Class, ranks[0].Class)
}
