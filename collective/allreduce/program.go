package allreduce

import (
	"fmt"

	"github.com/sullae/sullae/kernels/tree"
)

// Program is the order of the additions of a sum, compiled from tree.Fold. It
// works on registers: the operands come first (every rank's parts in rank order),
// then the result, then scratch.
type Program struct {
	Operands int
	Scratch  int // registers behind the result
	Steps    []Step
}

// Step adds register Right to register Left and leaves the sum in Out, which may
// be Left.
type Step struct{ Out, Left, Right int }

// compile walks the tree over leaves with the values of index there.
func compile(leaves int, index map[tree.Range]int) (p Program, err error) {
	p.Operands = len(index)
	result := p.Operands
	at := make(map[int]int) // first leaf of a summed subtree -> register
	var free []int
	defer func() {
		if recover() != nil { // Fold met a leaf that nobody holds
			err = fmt.Errorf("a leaf has no value")
		}
	}()
	used := 0
	have := func(r tree.Range) bool {
		i, ok := index[r]
		if ok {
			at[r.Lo] = i
			used++
		}
		return ok
	}
	tree.Fold(tree.Range{Lo: 0, Hi: leaves}, have, func(left, right tree.Range) {
		l, r := at[left.Lo], at[right.Lo]
		out := l
		if l < p.Operands { // operands are read only
			switch {
			case left.Lo == 0:
				out = result
			case len(free) > 0:
				out, free = free[len(free)-1], free[:len(free)-1]
			default:
				p.Scratch++
				out = result + p.Scratch
			}
		}
		if r > result {
			free = append(free, r)
		}
		at[left.Lo] = out
		p.Steps = append(p.Steps, Step{Out: out, Left: l, Right: r})
	})
	if used != p.Operands {
		return p, fmt.Errorf("%d of %d values are used", used, p.Operands)
	}
	return p, nil
}

// Summer runs programs; it holds their scratch memory. The zero value is ready.
type Summer struct {
	Add     Add // nil: AddGo
	scratch []float32
}

// Run leaves in dst the sum of the operands, each of len(dst) elements. dst must
// not overlap an operand.
func (s *Summer) Run(p *Program, dst []float32, operands []Operand) {
	add := s.Add
	if add == nil {
		add = AddGo
	}
	if len(operands) != p.Operands {
		panic("allreduce: wrong number of operands")
	}
	if len(p.Steps) == 0 {
		operands[0].copyTo(dst)
		return
	}
	n := len(dst)
	if need := p.Scratch * n; cap(s.scratch) < need {
		s.scratch = make([]float32, need)
	}
	register := func(i int) []float32 {
		if i -= p.Operands + 1; i >= 0 {
			return s.scratch[:cap(s.scratch)][i*n : (i+1)*n]
		}
		return dst
	}
	for _, st := range p.Steps {
		out := register(st.Out)
		left := out
		if st.Left < p.Operands {
			if left = operands[st.Left].Floats; left == nil {
				operands[st.Left].copyTo(out)
				left = out
			}
		}
		if st.Right < p.Operands {
			operands[st.Right].addTo(out, left, add)
		} else {
			add(out, left, register(st.Right))
		}
	}
}
