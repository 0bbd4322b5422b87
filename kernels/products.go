package kernels

// Product is one matrix of a call.
type Product struct {
	Dst Buffer
	W   Weight
}

// Products are products of one x, and the ops around them that a backend may do in
// the same pass. In this order; what is nil or zero is not done.
type Products struct {
	X    Buffer // [Rows, K]
	Rows int
	Norm *Norm // what X is made of first
	// List is what X is multiplied by: Backend.MatMul(p.Dst, X, p.W, Rows) for each.
	List []Product
	// Gate: of two products the first's Dst becomes Backend.SiLUMul's or GELUMul's of
	// both, with the second as up. What is left in the second's Dst is undefined.
	Gate Gate
	// Take is called once for each block of so many outputs (the last may be shorter) of
	// one product with one node: outputs [lo, hi) of all rows are in its Dst, most of them
	// in the cache of the thread that calls. It may change them, and runs beside other
	// calls. It is a Multiplier's alone.
	Block int
	Take  func(t Thread, lo, hi int)
}

// Norm is where the rows of products come from: X += Add, unless that is nil, and
// then RMSNorm(Products.X, X, W, rows, Eps). Products.X may be Add.
type Norm struct {
	X, Add, W Buffer
	Eps       float32
}

// Gate is a function of an MLP's gate.
type Gate uint8

// Gates.
const (
	NoGate Gate = iota
	SiLUGate
	GELUGate
)

// Thread is one of a Multiplier's threads, for Products.Take.
type Thread interface {
	// Index is below Info.Threads, and no two calls at a time have the same.
	Index() int
	// SoftCap is Backend.SoftCap.
	SoftCap(x []float32, limit float32)
	// ExpSum is Backend.ExpSums of one block.
	ExpSum(x []float32) (maximum, sum float32)
}

// Multiplier is a Backend that does all of Products at once, to the same bits as op
// after op.
type Multiplier interface {
	Multiply(p Products)
}

// MultiMatMuler is a Backend that multiplies several matrices by the same x
// faster than one after the other, to the same bits.
type MultiMatMuler interface {
	// MatMuls is Backend.MatMul(p.Dst, x, p.W, rows) for each product.
	MatMuls(x Buffer, rows int, products ...Product)
}

// Multiply does all of p but Take: at once where b can, else op after op.
func Multiply(b Backend, p Products) {
	if m, ok := b.(Multiplier); ok {
		m.Multiply(p)
		return
	}
	if n := p.Norm; n != nil {
		if n.Add != nil {
			b.Add(n.X, n.Add)
		}
		b.RMSNorm(p.X, n.X, n.W, p.Rows, n.Eps)
	}
	if m, ok := b.(MultiMatMuler); ok {
		m.MatMuls(p.X, p.Rows, p.List...)
	} else {
		for _, l := range p.List {
			b.MatMul(l.Dst, p.X, l.W, p.Rows)
		}
	}
	if p.Gate != NoGate {
		p.Gate.Apply(b, p.List[0].Dst, p.List[1].Dst)
	}
}

// Apply is the gate's op on a whole gate, in place.
func (g Gate) Apply(b Backend, gate, up Buffer) {
	if g == GELUGate {
		b.GELUMul(gate, gate, up)
	} else {
		b.SiLUMul(gate, gate, up)
	}
}
