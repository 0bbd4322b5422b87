package kerneltest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

type rule struct {
	name  string
	test  func(t *testing.T, b kernels.Backend)
	small func(t *testing.T, b kernels.Backend) // nil: as test
}

// rules are what must hold of a backend by itself, bit for bit.
var rules = []rule{
	{"rule/MatMulRows", matMulRowsRule, nil},
	{"rule/MatMulTree", matMulTreeRule, nil},
	{"rule/MatMuls", matMulsRule, nil},
	{"rule/Products", productsRule, smallProductsRule},
	{"rule/Coded", codedRule, nil},
	{"rule/Pieces", piecesRule, nil},
	{"rule/Chunking", chunkingRule, smallChunkingRule},
	{"rule/Poison", poisonRule, smallPoisonRule},
	{"rule/PackErrors", packErrorsRule, nil},
	{"rule/NewKVErrors", newKVErrorsRule, nil},
	{"rule/Misuse", misuseRule, nil},
}

// matMulRowsRule: a row's product is the same alone and among any others.
func matMulRowsRule(t *testing.T, b kernels.Backend) {
	for _, d := range dtypes {
		s := seeded("rows" + d.String())
		const rows, out, k = 40, 150, 530
		x := s.floats(rows * k)
		raw, _ := store(s.floats(out*k), d)
		w := pack(t, b, kernels.WeightSpec{Name: "w", Out: out, K: k, DType: d, Leaves: []int{0, 100, 101, 513, 530}}, raw)
		product := func(r0, r1 int) []float32 {
			dst := newOutput(t, b, (r1-r0)*out, 0)
			b.MatMul(dst.buf, put(t, b, x[r0*k:r1*k], 0), w, r1-r0)
			return dst.take(t, b)
		}
		all := product(0, rows)
		for n := 1; n <= 13; n++ {
			from := s.IntN(rows - n)
			same(t, product(from, from+n), all[from*out:(from+n)*out])
		}
	}
}

// matMulsRule: several products of one x are each what it is alone, whatever
// their formats and leaves.
func matMulsRule(t *testing.T, b kernels.Backend) {
	s := seeded("products")
	const rows, k = 9, 96
	x := put(t, b, s.floats(rows*k), 1)
	var list []kernels.Product
	var alone [][]float32
	var together []output
	for _, spec := range []kernels.WeightSpec{
		{Out: 130, DType: tensor.BF16, Format: kernels.Q8}, {Out: 64, DType: tensor.BF16, Format: kernels.Q8}, {Out: 1, DType: tensor.F16, Format: kernels.Q8},
		{Out: 70, DType: tensor.F32, Format: kernels.Q8, Leaves: []int{0, 40, 96}}, {Out: 70, DType: tensor.F32, Format: kernels.Q4, Leaves: []int{0, 40, 96}},
		{Out: 200, DType: tensor.F32}, {Out: 3, DType: tensor.BF16}, {Out: 90, DType: tensor.F16, Leaves: []int{0, 7, 96}},
	} {
		spec.Name, spec.K = "w", k
		raw, _ := store(s.floats(spec.Out*k), spec.DType)
		w := pack(t, b, spec, raw)
		dst := newOutput(t, b, rows*spec.Out, 0)
		b.MatMul(dst.buf, x, w, rows)
		alone = append(alone, dst.take(t, b))
		together = append(together, newOutput(t, b, rows*spec.Out, 1))
		list = append(list, kernels.Product{Dst: together[len(together)-1].buf, W: w})
	}
	kernels.Multiply(b, kernels.Products{X: x, Rows: rows, List: list})
	for i, o := range together {
		same(t, o.take(t, b), alone[i])
	}
}

// matMulTreeRule: however the leaves are spread over ranks, the tree over the
// ranks' nodes gives the bits of the whole product.
func matMulTreeRule(t *testing.T, b kernels.Backend) {
	s := seeded("tree")
	const rows, out = 3, 21
	for _, n := range []int{1, 2, 3, 5, 8, 11, 32} {
		leaves, k := ascending(n)
		x, w := s.floats(rows*k), s.floats(out*k)
		raw, _ := store(w, tensor.F32)
		dst := newOutput(t, b, rows*out, 0)
		b.MatMul(dst.buf, put(t, b, x, 0), pack(t, b, kernels.WeightSpec{Name: "whole", Out: out, K: k, DType: tensor.F32, Leaves: leaves}, raw), rows)
		whole := dst.take(t, b)

		for ranks := 1; ranks <= min(n, 5); ranks++ {
			sums := map[tree.Range][]float32{}
			for rank := range ranks {
				r := tree.Range{Lo: n * rank / ranks, Hi: n * (rank + 1) / ranks}
				if r.Empty() {
					continue
				}
				for node, sum := range rankProduct(t, b, n, r, leaves, x, w, rows, out) {
					sums[node] = sum
				}
			}
			// The sums move to where tree.Fold says they are left.
			tree.Fold(tree.Range{Lo: 0, Hi: n},
				func(r tree.Range) bool { return sums[r] != nil },
				func(l, r tree.Range) {
					left, right := sums[l], sums[r]
					for i := range left {
						left[i] += right[i]
					}
					sums[tree.Range{Lo: l.Lo, Hi: r.Hi}] = left
				})
			t.Run(fmt.Sprintf("leaves=%d,ranks=%d", n, ranks), func(t *testing.T) {
				same(t, sums[tree.Range{Lo: 0, Hi: n}], whole)
			})
		}
	}
}

// rankProduct is what the rank that holds leaves r of n computes, by node.
func rankProduct(t *testing.T, b kernels.Backend, n int, r tree.Range, leaves []int, x, w []float32, rows, out int) map[tree.Range][]float32 {
	k, lo, hi := leaves[n], leaves[r.Lo], leaves[r.Hi]
	cut := func(m []float32, rows int) []float32 {
		var v []float32
		for i := range rows {
			v = append(v, m[i*k+lo:i*k+hi]...)
		}
		return v
	}
	spec := kernels.WeightSpec{Name: "part", Out: out, K: hi - lo, DType: tensor.F32}
	for _, l := range leaves[r.Lo : r.Hi+1] {
		spec.Leaves = append(spec.Leaves, l-lo)
	}
	nodes := tree.Maximal(n, r)
	for _, node := range nodes {
		spec.Nodes = append(spec.Nodes, tree.Range{Lo: node.Lo - r.Lo, Hi: node.Hi - r.Lo})
	}
	raw, _ := store(cut(w, out), tensor.F32)
	dst := newOutput(t, b, len(nodes)*rows*out, 0)
	b.MatMul(dst.buf, put(t, b, cut(x, rows), 0), pack(t, b, spec, raw), rows)
	got := dst.take(t, b)
	sums := map[tree.Range][]float32{}
	for i, node := range nodes {
		sums[node] = got[i*rows*out : (i+1)*rows*out]
	}
	return sums
}

// packErrorsRule: weights that are not finite are found and named, the first by
// rows; so is a reader's error, and a spec that makes no sense.
func packErrorsRule(t *testing.T, b kernels.Backend) {
	for _, d := range dtypes {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			const out, k = 70, 21
			raw, _ := store(make([]float32, out*k), d)
			one := badBytes(bad, d)
			copy(raw[(37*k+11)*d.Size():], one)
			copy(raw[(68*k+3)*d.Size():], one)
			_, err := b.Pack(kernels.WeightSpec{Name: "bad.weight", Out: out, K: k, DType: d}, memory{raw, d.Size(), k})
			if err == nil || !strings.Contains(err.Error(), "bad.weight") || !strings.Contains(err.Error(), "[37, 11]") {
				t.Errorf("%v, %v: error %v, want one that names bad.weight and [37, 11]", d, bad, err)
			}
		}
	}
	if _, err := b.Pack(kernels.WeightSpec{Name: "w", Out: 40, K: 3, DType: tensor.BF16}, broken{}); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "w") {
		t.Errorf("a reader's error: %v", err)
	}
	if _, err := b.NewTable(kernels.WeightSpec{Name: "table", Out: 40, K: 3, DType: tensor.BF16}, broken{}); !errors.Is(err, errBroken) {
		t.Errorf("a reader's error: %v", err)
	}
	raw := memory{make([]byte, 24), 4, 3}
	for _, spec := range []kernels.WeightSpec{
		{Out: 0, K: 3, DType: tensor.F32},
		{Out: 2, K: 3},
		{Out: 2, K: 3, DType: tensor.F32, Leaves: []int{0, 2}},
		{Out: 2, K: 3, DType: tensor.F32, Leaves: []int{0, 2, 2, 3}},
		{Out: 2, K: 3, DType: tensor.F32, Nodes: []tree.Range{{Lo: 0, Hi: 2}}},
		{Out: 2, K: 3, DType: tensor.F32, Nodes: []tree.Range{{Lo: 0, Hi: 0}}},
	} {
		if w, err := b.Pack(spec, raw); err == nil {
			w.Free()
			t.Errorf("%+v was packed", spec)
		}
	}
}

// badBytes stores a value that is not finite.
func badBytes(f float32, d tensor.DType) []byte {
	if d == tensor.F16 {
		u := uint16(0x7c00)
		if f < 0 {
			u |= 0x8000
		} else if f != f {
			u |= 1
		}
		return []byte{byte(u), byte(u >> 8)}
	}
	raw, _ := store([]float32{f}, d)
	return raw
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) ReadRows([]byte, int, int, int, int) error { return errBroken }

func newKVErrorsRule(t *testing.T, b kernels.Backend) {
	good := kernels.KVConfig{Layers: 1, Blocks: 1, BlockSize: 16, KVHeads: 1, HeadDim: 8}
	for _, change := range []func(*kernels.KVConfig){
		func(c *kernels.KVConfig) { c.Layers = 0 },
		func(c *kernels.KVConfig) { c.Blocks = -1 },
		func(c *kernels.KVConfig) { c.BlockSize = 0 },
		func(c *kernels.KVConfig) { c.BlockSize = 24 },
		func(c *kernels.KVConfig) { c.HeadDim = 12 },
	} {
		c := good
		change(&c)
		if kv, err := b.NewKV(c); err == nil {
			kv.Free()
			t.Errorf("NewKV(%+v) succeeded", c)
		}
	}
}

// misuseRule: a shape that does not fit panics before anything is written.
func misuseRule(t *testing.T, b kernels.Backend) {
	raw, _ := store(make([]float32, 12), tensor.F32)
	w := pack(t, b, kernels.WeightSpec{Name: "w", Out: 3, K: 4, DType: tensor.F32}, raw)
	buf := func(n int) kernels.Buffer { return put(t, b, make([]float32, n), 0) }
	for name, f := range map[string]func(){
		"MatMul x":   func() { b.MatMul(buf(6), buf(7), w, 2) },
		"MatMul dst": func() { b.MatMul(buf(5), buf(8), w, 2) },
		"Add":        func() { b.Add(buf(5), buf(4)) },
		"SiLUMul":    func() { b.SiLUMul(buf(5), buf(5), buf(4)) },
		"GELUMul":    func() { b.GELUMul(buf(5), buf(4), buf(5)) },
		"AddBias":    func() { b.AddBias(buf(8), buf(3), 3) },
		"SoftCap":    func() { b.SoftCap(buf(8), 0) },
		"RMSNorm":    func() { b.RMSNorm(buf(8), buf(8), buf(3), 3, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
