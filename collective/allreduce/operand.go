package allreduce

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Add leaves a[i] + b[i] in dst[i]; all three have one length. dst may be a, or
// b, but not overlap them otherwise. Every implementation gives the same bits.
type Add func(dst, a, b []float32)

// AddGo is the plain Add.
func AddGo(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for len(dst) >= 8 {
		d, x, y := (*[8]float32)(dst), (*[8]float32)(a), (*[8]float32)(b)
		d[0] = x[0] + y[0]
		d[1] = x[1] + y[1]
		d[2] = x[2] + y[2]
		d[3] = x[3] + y[3]
		d[4] = x[4] + y[4]
		d[5] = x[5] + y[5]
		d[6] = x[6] + y[6]
		d[7] = x[7] + y[7]
		dst, a, b = dst[8:], a[8:], b[8:]
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Operand is a vector: floats in memory, or little-endian floats in received
// pieces that may end anywhere, from byte Skip on.
type Operand struct {
	Floats []float32 // if not nil
	Pieces [][]byte
	Skip   int
}

// copyTo fills dst with the operand.
func (o *Operand) copyTo(dst []float32) {
	if o.Floats != nil || len(dst) == 0 {
		copy(dst, o.Floats)
		return
	}
	o.walk(len(dst), func(at int, run []float32) { copy(dst[at:], run) })
}

// addTo leaves left + the operand in out.
func (o *Operand) addTo(out, left []float32, add Add) {
	if o.Floats != nil || len(out) == 0 {
		add(out, left, o.Floats)
		return
	}
	o.walk(len(out), func(at int, run []float32) {
		end := at + len(run)
		add(out[at:end], left[at:end], run)
	})
}

// CopyPieces fills dst with the floats of pieces.
func CopyPieces(dst []float32, pieces [][]byte) {
	(&Operand{Pieces: pieces}).copyTo(dst)
}

// walk visits the operand's n floats in runs that lie in one piece; a float that
// straddles pieces is a run of its own. run is valid during the visit only.
func (o *Operand) walk(n int, visit func(at int, run []float32)) {
	var carry [4]byte
	at, have, skip := 0, 0, o.Skip
	for _, p := range o.Pieces {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		p, skip = p[skip:], 0
		if have > 0 {
			k := copy(carry[have:], p)
			have, p = have+k, p[k:]
			if have < 4 {
				continue
			}
			visit(at, []float32{math.Float32frombits(binary.LittleEndian.Uint32(carry[:]))})
			at, have = at+1, 0
		}
		k := min(len(p)/4, n-at)
		if k > 0 {
			visit(at, floats(p[:4*k]))
			at += k
		}
		if at == n {
			return
		}
		have = copy(carry[:], p[4*k:])
	}
	if at != n {
		panic("allreduce: operand shorter than its vector")
	}
}

var littleEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()

// floats is b as floats: a view where the machine stores floats as the wire
// does, a copy elsewhere. b needs no alignment: both architectures with assembly
// here load unaligned floats, and a float holds no pointer.
func floats(b []byte) []float32 {
	if littleEndian {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// PutFloats writes src to dst as the wire has it, 4 bytes each.
func PutFloats(dst []byte, src []float32) {
	if littleEndian {
		copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(src))), 4*len(src)))
		return
	}
	for i, v := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}
