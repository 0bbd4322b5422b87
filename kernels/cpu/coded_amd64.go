//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels/tensor"

type decodeFunc func(dst *float32, codes *byte, scales, offsets *float32, rowOf *int32, lines int)

// decoders are by type, without offsets and with.
type decoders [tensor.F8 + 1][2]decodeFunc

type codedRowFunc func(c, x *float32, codes *byte, scales, offsets *float32, rowOf *int32, lines int)

type codedRows [tensor.F8 + 1][2]codedRowFunc

var codedRows256 = codedRows{
	tensor.U4: {codedRowU4, codedRowU4Offset},
	tensor.I4: {codedRowI4, codedRowI4Offset},
	tensor.I8: {codedRowI8, codedRowI8Offset},
	tensor.F8: {codedRowF8, codedRowF8Offset},
}

var codedRows512 = codedRows{
	tensor.U4: {codedRowU4_512, codedRowU4Offset_512},
	tensor.I4: {codedRowI4_512, codedRowI4Offset_512},
	tensor.I8: {codedRowI8_512, codedRowI8Offset_512},
	tensor.F8: {codedRowF8_512, codedRowF8Offset_512},
}

func codedRowAVX2(d tensor.DType, c, x []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	codedRowVec(&codedRows256, d, c, x, codes, scales, offsets, rowOf)
}

func codedRowAVX512(d tensor.DType, c, x []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	codedRowVec(&codedRows512, d, c, x, codes, scales, offsets, rowOf)
}

// codedRowVec leaves a last line that is not whole to the portable form.
func codedRowVec(list *codedRows, d tensor.DType, c, x []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	lines, offset := checkCoded(d, codes, scales, offsets, rowOf)
	k := lines * 32 / d.Bytes(8)
	if k > 0 {
		raceRead(x[:k])
		raceWrite(c[:panelWidth])
		f := list[d][0]
		if offset != nil {
			f = list[d][1]
		}
		f(&c[0], &x[0], &codes[0], &scales[0], offset, &rowOf[0], lines)
	}
	if k < len(rowOf) {
		codedRowGo(d, c, x[k:], codes[lines*panelStrips*lineBytes:], scales, offsets, rowOf[k:])
	}
}

// checkCoded checks that all that a decoder reads is inside the slices and tells
// the race detector. It returns the number of whole lines.
func checkCoded(d tensor.DType, codes []byte, scales, offsets []float32, rowOf []int32) (lines int, offset *float32) {
	lines = len(rowOf) / (32 / d.Bytes(8))
	if lines == 0 {
		return 0, nil
	}
	raceRead(codes)
	raceRead(scales)
	raceRead(offsets)
	_ = codes[lines*panelStrips*lineBytes-1]
	low, high := rowOf[0], rowOf[0]
	for _, row := range rowOf {
		low, high = min(low, row), max(high, row)
	}
	_, _ = scales[low], scales[int(high)+panelWidth-1]
	if offsets != nil {
		_, offset = offsets[int(high)+panelWidth-1], &offsets[0]
	}
	return lines, offset
}

var decoders256 = decoders{
	tensor.U4: {decodeU4, decodeU4Offset},
	tensor.I4: {decodeI4, decodeI4Offset},
	tensor.I8: {decodeI8, decodeI8Offset},
	tensor.F8: {decodeF8, decodeF8Offset},
}

var decoders512 = decoders{
	tensor.U4: {decodeU4_512, decodeU4Offset_512},
	tensor.I4: {decodeI4_512, decodeI4Offset_512},
	tensor.I8: {decodeI8_512, decodeI8Offset_512},
	tensor.F8: {decodeF8_512, decodeF8Offset_512},
}

func decodeAVX2(d tensor.DType, dst []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	decodeVec(&decoders256, d, dst, codes, scales, offsets, rowOf)
}

func decodeAVX512(d tensor.DType, dst []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	decodeVec(&decoders512, d, dst, codes, scales, offsets, rowOf)
}

// decodeVec leaves a last line that is not whole to the portable form.
func decodeVec(list *decoders, d tensor.DType, dst []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	lines, offset := checkCoded(d, codes, scales, offsets, rowOf)
	k := lines * 32 / d.Bytes(8)
	if k > 0 {
		raceWrite(dst[:k*panelWidth])
		f := list[d][0]
		if offset != nil {
			f = list[d][1]
		}
		f(&dst[0], &codes[0], &scales[0], offset, &rowOf[0], lines)
	}
	if k < len(rowOf) {
		decodeGo(d, dst[k*panelWidth:], codes[lines*panelStrips*lineBytes:], scales, offsets, rowOf[k:])
	}
}

func widenHalvesVec(dst []float32, src []byte) {
	if n := len(dst); n > 0 {
		raceRead(src[:2*n])
		raceWrite(dst)
		widenHalvesAVX2(&dst[0], &src[0], n)
	}
}
