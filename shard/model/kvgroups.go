package model

// KVGroups are groups of layers of one size, each with blocks of its own in the
// KV pool. The layers of a group see the same window, so that what it has left is
// given back for all of them; since groups are of one size, so are their blocks,
// and one group's can be given to another.
type KVGroups struct {
	Windows []int // of each group; 0: it sees everything
	Layers  int   // in a group
	places  []place
}

// place is a layer's group and its index in it.
type place struct{ group, index int }

// maxKVGroups bounds what a position's blocks cost to tell. Models whose layers
// would need more groups are one group that gives nothing back, unless all its
// layers slide.
const maxKVGroups = 8

// KVGroups deals out the layers: those with one window, in order, to as many
// groups as the largest common size needs. A model whose layers are all alike is
// one group; one with a window in three layers of four is four groups.
func (s *Spec) KVGroups() KVGroups {
	var windows []int
	layers := map[int]int{} // with each window
	for _, l := range s.Layers {
		if layers[l.Window] == 0 {
			windows = append(windows, l.Window)
		}
		layers[l.Window]++
	}
	size := 0
	for _, w := range windows {
		size = gcd(size, layers[w])
	}
	g := KVGroups{Layers: size, places: make([]place, len(s.Layers))}
	if len(s.Layers)/size > maxKVGroups {
		g.Layers, g.Windows = len(s.Layers), []int{s.Window()}
		for i := range g.places {
			g.places[i].index = i
		}
		return g
	}
	first := map[int]int{} // group of each window
	for _, w := range windows {
		first[w] = len(g.Windows)
		for range layers[w] / size {
			g.Windows = append(g.Windows, w)
		}
	}
	seen := map[int]int{}
	for i, l := range s.Layers {
		n := seen[l.Window]
		g.places[i] = place{first[l.Window] + n/size, n % size}
		seen[l.Window]++
	}
	return g
}

// Of is a layer's group and its index in it.
func (g KVGroups) Of(layer int) (group, index int) {
	return g.places[layer].group, g.places[layer].index
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
