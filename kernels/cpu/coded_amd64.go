//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels/tensor"

type decodeFunc func(dst *float32, codes *byte, scales, offsets *float32, rowOf *int32, lines int)

// decoders are by type, without offsets and with.
type decoders [tensor.F8 + 1][2]decodeFunc

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
	perWord := 32 / d.Bytes(8)
	lines := len(rowOf) / perWord
	k := lines * perWord
	if k > 0 {
		raceRead(codes)
		raceRead(scales)
		raceRead(offsets)
		raceWrite(dst[:k*panelWidth])
		f, offset := list[d][0], (*float32)(nil)
		if offsets != nil {
			f, offset = list[d][1], &offsets[0]
		}
		_ = codes[lines*panelStrips*lineBytes-1]
		for _, row := range rowOf[:k] {
			_ = scales[int(row)+panelWidth-1]
			if offsets != nil {
				_ = offsets[int(row)+panelWidth-1]
			}
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
