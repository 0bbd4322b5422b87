package gguf

import (
	"fmt"

	"github.com/sullae/sullae/kernels/tensor"
)

// Type is a tensor's element type, by its number in the file (enum ggml_type).
type Type uint32

// The types that are read.
const (
	F32   Type = 0
	F16   Type = 1
	Q4_0  Type = 2
	Q4_1  Type = 3
	Q5_0  Type = 6
	Q5_1  Type = 7
	Q8_0  Type = 8
	Q2_K  Type = 10
	Q3_K  Type = 11
	Q4_K  Type = 12
	Q5_K  Type = 13
	Q6_K  Type = 14
	IQ4NL Type = 20
	IQ4XS Type = 23
	BF16  Type = 30
)

// Block is how values lie in the file: Values of them in a row make a block of
// Bytes. For a quantized type, a block is decoded into codes of type Code, and for
// each Group of them a scale and, where Offsets, an offset: kernels.Coding says
// what they mean.
type Block struct {
	Name          string
	Values, Bytes int
	Plain         tensor.DType // of values that are no codes, else Invalid
	Code          tensor.DType
	Scale         tensor.DType // F16 where a scale is one in the file
	Offsets       bool
	Group         int
	// Decode reads one block: a code in each byte of codes [Values], scales
	// and offsets [Values/Group].
	Decode func(block, codes []byte, scales, offsets []float32)
}

var layouts = map[Type]*Block{
	F32:   {Name: "F32", Values: 1, Bytes: 4, Plain: tensor.F32},
	F16:   {Name: "F16", Values: 1, Bytes: 2, Plain: tensor.F16},
	BF16:  {Name: "BF16", Values: 1, Bytes: 2, Plain: tensor.BF16},
	Q4_0:  {"Q4_0", 32, 18, 0, tensor.I4, tensor.F16, false, 32, decodeQ4_0},
	Q4_1:  {"Q4_1", 32, 20, 0, tensor.U4, tensor.F16, true, 32, decodeQ4_1},
	Q5_0:  {"Q5_0", 32, 22, 0, tensor.I8, tensor.F16, false, 32, decodeQ5_0},
	Q5_1:  {"Q5_1", 32, 24, 0, tensor.I8, tensor.F16, true, 32, decodeQ5_1},
	Q8_0:  {"Q8_0", 32, 34, 0, tensor.I8, tensor.F16, false, 32, decodeQ8_0},
	Q2_K:  {"Q2_K", 256, 84, 0, tensor.U4, tensor.F32, true, 16, decodeQ2_K},
	Q3_K:  {"Q3_K", 256, 110, 0, tensor.I4, tensor.F32, false, 16, decodeQ3_K},
	Q4_K:  {"Q4_K", 256, 144, 0, tensor.U4, tensor.F32, true, 32, decodeQ4_K},
	Q5_K:  {"Q5_K", 256, 176, 0, tensor.I8, tensor.F32, true, 32, decodeQ5_K},
	Q6_K:  {"Q6_K", 256, 210, 0, tensor.I8, tensor.F32, false, 16, decodeQ6_K},
	IQ4NL: {"IQ4_NL", 32, 18, 0, tensor.I8, tensor.F16, false, 32, decodeIQ4NL},
	IQ4XS: {"IQ4_XS", 256, 136, 0, tensor.I8, tensor.F32, false, 32, decodeIQ4XS},
}

// unread are types that have a name but no reader here.
var unread = map[Type]string{
	9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32",
	27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

// layout is how values of the type lie, nil where that is not known.
func (t Type) layout() *Block { return layouts[t] }

// Block is how values of the type lie; an error for a type that is not read.
func (t Type) Block() (*Block, error) {
	if b := layouts[t]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("type %v is not supported; supported: F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, Q3_K, Q2_K, IQ4_NL, IQ4_XS", t)
}

// String is the type's name.
func (t Type) String() string {
	if b := layouts[t]; b != nil {
		return b.Name
	}
	if name := unread[t]; name != "" {
		return name
	}
	return fmt.Sprintf("Type(%d)", uint32(t))
}
