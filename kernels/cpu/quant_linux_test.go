//go:build !noasm && (amd64 || arm64)

package cpu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// guardQuant runs a variant's functions for quantized operands against their twins.
func guardQuant(f *fences, v *variant) {
	twin := *portable
	twin.tileRows, twin.quantGemm = v.tileRows, quantGemmGo(v.tileRows)
	for _, format := range []kernels.Format{kernels.Q8, kernels.Q4} {
		for m := range 2 * v.tileRows {
			m, wide := m/2+1, m%2 == 1
			if only8 := v.wide8 && format == kernels.Q8; wide && !only8 || !wide && only8 && m > 1 {
				continue // a form that is never asked for
			}
			for groups := 1; groups <= 3; groups++ {
				x, w := f.next().bytes(groups*tileStride(v.tileRows, wide)), f.next().bytes(groups*quantGroupBytes(format))
				randomQuants(f, x, w, v.tileRows, wide, groups, format)
				c := f.random(m * panelWidth)
				f.both(fmt.Sprintf("quantGemm %v m=%d groups=%d", format, m, groups), v, &twin, c, func(v *variant) {
					v.quantGemm(format, c, panelWidth, wide, x, w, m, groups, 1<<16)
				})
			}
		}
	}
	guardTall(f, v)
	guardPack(f, v)
	for _, wide := range []bool{false, true} {
		for groups := 1; groups <= 3; groups++ {
			x := f.random(groups * kernels.Group)
			size := groups * tileStride(v.tileRows, wide)
			got, want := f.next().bytes(size), make([]byte, size)
			for slot := range v.tileRows {
				clear(got)
				clear(want)
				v.quantize(got, v.tileRows, wide, slot, x, 8)
				quantizeGo(want, v.tileRows, wide, slot, x, 8)
				if !bytes.Equal(got, want) {
					f.t.Fatalf("%s: quantize, wide %v, %d groups, slot %d: other bytes than the twin", v.name, wide, groups, slot)
				}
			}
			f.used = 0
		}
	}
}

// guardTall runs quantTall, if there is one, against the twin of quantGemm, tile
// after tile.
func guardTall(f *fences, v *variant) {
	if v.quantTall == nil {
		return
	}
	twin := *portable
	twin.quantTall = func(f kernels.Format, c []float32, ldc int, x []byte, rowGroups int, w, _ []byte, tiles, groups int) {
		wide, m := v.wide8 && f == kernels.Q8, v.tileRows
		for t := range tiles {
			quantGemmGo(m)(f, c[t*m*ldc:], ldc, wide, x[t*rowGroups*tileStride(m, wide):], w, m, groups, 0)
		}
	}
	for _, format := range []kernels.Format{kernels.Q8, kernels.Q4} {
		wide := v.wide8 && format == kernels.Q8
		for tiles := 1; tiles <= 3; tiles++ {
			for groups := 1; groups <= 3; groups++ {
				rowGroups := groups + tiles - 1
				x := f.next().bytes(((tiles-1)*rowGroups + groups) * tileStride(v.tileRows, wide))
				w, scratch := f.next().bytes(groups*quantGroupBytes(format)), f.next().bytes(groups*2*quantGroupBytes(format))
				for t := range tiles {
					randomQuants(f, x[t*rowGroups*tileStride(v.tileRows, wide):], w, v.tileRows, wide, groups, format)
				}
				c := f.random(tiles * v.tileRows * panelWidth)
				f.both(fmt.Sprintf("quantTall %v tiles=%d groups=%d", format, tiles, groups), v, &twin, c, func(v *variant) {
					v.quantTall(format, c, panelWidth, x, rowGroups, w, scratch, tiles, groups)
				})
			}
		}
	}
}

// guardPack runs packQuant against its twin: on values of one size, of many, at
// the ends of what a scale can be, and beyond.
func guardPack(f *fences, v *variant) {
	for _, format := range []kernels.Format{kernels.Q8, kernels.Q4} {
		for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
			for kind := range 6 {
				groups, j := 1+kind%3, f.rng.IntN(panelWidth)
				row, values := f.next().bytes(groups*kernels.Group*d.Size()), make([]float32, groups*kernels.Group)
				for i := range values {
					x := float32(f.rng.NormFloat64())
					switch {
					case kind == 1 || f.rng.IntN(3) == 0:
						x = float32(math.Copysign(4, float64(x)))
					case kind == 2:
						x *= 0x1p-24
					case kind == 3:
						x = float32(math.Copysign(0, float64(x)))
					case kind == 4 && i > kernels.Group:
						x *= 1e8 // no binary16 of a scale, in the second group
					case kind == 5:
						x *= float32(math.Exp2(float64(f.rng.IntN(24) - 20)))
					}
					values[i] = x
				}
				narrow(row, values, d)
				got, want := f.next().bytes(groups*quantGroupBytes(format)), make([]byte, groups*quantGroupBytes(format))
				clear(got)
				n, m := v.packQuant(format, d, got, row, j, groups), packQuantGo(format, d, want, row, j, groups)
				if n != m || !bytes.Equal(got[:n*quantGroupBytes(format)], want[:n*quantGroupBytes(format)]) {
					f.t.Fatalf("%s: packQuant %v of %v, kind %d: %d groups, the twin %d, or other bytes", v.name, format, d, kind, n, m)
				}
				f.used = 0
			}
		}
	}
}

// narrow stores values as d.
func narrow(dst []byte, values []float32, d tensor.DType) {
	for i, x := range values {
		switch d {
		case tensor.F32:
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
		case tensor.BF16:
			binary.LittleEndian.PutUint16(dst[2*i:], tensor.Float32ToBF16(x))
		case tensor.F16:
			h := tensor.Float32ToF16(x)
			if h&0x7c00 == 0x7c00 {
				h = 0x7bff
			}
			binary.LittleEndian.PutUint16(dst[2*i:], h)
		}
	}
}

// randomQuants fills a tile and a panel with anything that quantizing can make.
func randomQuants(f *fences, x, w []byte, tileRows int, wide bool, groups int, format kernels.Format) {
	values := make([]float32, kernels.Group)
	for slot := range tileRows {
		for g := range groups {
			for i := range values {
				values[i] = float32(f.rng.NormFloat64())
				if f.rng.IntN(4) == 0 {
					values[i] = float32(math.Copysign(3, float64(values[i]))) // extremes beside each other
				}
			}
			quantizeGo(x[g*tileStride(tileRows, wide):], tileRows, wide, slot, values, quantOffset(format))
		}
	}
	for i := range w {
		w[i] = byte(f.rng.Uint32())
		if format == kernels.Q8 && w[i] == 0x80 {
			w[i] = 0x81
		}
		if i%quantGroupBytes(format) < quantScaleBytes && i%2 == 1 {
			w[i] = w[i]&0x83 | 0x2c
		}
	}
}

// FuzzQuantize: any values whatever give the same bytes in every variant.
func FuzzQuantize(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0x7f, 1, 0, 0, 0, 0xff, 0xff, 0x7f, 0x7f})
	f.Add([]byte{0, 0, 0x80, 0x0d, 0xff, 0xff, 0x7f, 0x8d})
	f.Add([]byte{0, 0, 0xfe, 0x42, 0, 0, 0, 0x3f, 0, 0, 0xc0, 0x3f, 0, 0, 0x20, 0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := make([]float32, (len(raw)/4+kernels.Group)/kernels.Group*kernels.Group)
		tensor.Widen(x[:len(raw)/4], raw, tensor.F32)
		for _, v := range variants() {
			size := len(x) / kernels.Group * tileStride(v.tileRows, v.wide8)
			got, want := make([]byte, size), make([]byte, size)
			v.quantize(got, v.tileRows, v.wide8, 1, x, 128)
			quantizeGo(want, v.tileRows, v.wide8, 1, x, 128)
			for i := 0; i < size; i += 4 {
				if g, w := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(want[i:]); g != w && !sameFloat(math.Float32frombits(g), math.Float32frombits(w)) {
					t.Fatalf("%s: word %d: %x, want %x", v.name, i/4, g, w)
				}
			}
		}
	})
}

// samePacked holds every variant's packing of a group of float32 to the bytes that
// quantGroup made.
func samePacked(t *testing.T, w []float32, want []byte, j int, format kernels.Format) {
	if len(w) < kernels.Group {
		return
	}
	row := make([]byte, 4*kernels.Group)
	for i, v := range w {
		binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(v))
	}
	for _, v := range variants() {
		got := make([]byte, len(want))
		if n := v.packQuant(format, tensor.F32, got, row, j, 1); n != 1 || !bytes.Equal(got, want) {
			t.Fatalf("%s: %v: packing %v did %d groups, and other bytes than the twin", v.name, format, w, n)
		}
	}
}

// FuzzQuantGroup: any weights are refused or keep within their format's step.
func FuzzQuantGroup(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0xff, 0xff, 0x7f, 0x7f})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0x80, 0x33, 0, 0, 0, 0xb5})
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := make([]float32, min(len(raw)/4, kernels.Group))
		tensor.Widen(w, raw, tensor.F32)
		top := 0.0
		for _, v := range w {
			if v-v != 0 {
				return // Pack has refused it
			}
			top = max(top, math.Abs(float64(v)))
		}
		for _, format := range []kernels.Format{kernels.Q8, kernels.Q4} {
			group := make([]byte, quantGroupBytes(format))
			if err := quantGroup(group, w, 5, format); err != nil {
				if top < 65000*7 {
					t.Fatalf("%v: %v", w, err)
				}
				continue
			}
			samePacked(t, w, group, 5, format)
			var n [kernels.Group]int32
			readGroup(&n, group, 5, format)
			scale := float64(tensor.HalfToFloat32(binary.LittleEndian.Uint16(group[10:])))
			steps := map[kernels.Format]float64{kernels.Q8: 0.5, kernels.Q4: 1}[format]
			for i, v := range w {
				// Beside the step itself: the scale's own rounding at the end of the range.
				slack := top/1024 + 0x1p-17
				if got := scale * float64(n[i]); math.Abs(got-float64(v)) > math.Abs(scale)*steps*1.001+slack {
					t.Fatalf("%v: %g became %g, scale %g", format, v, got, scale)
				}
			}
		}
	})
}
