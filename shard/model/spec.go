// Package model describes a model as data: its shape, the form of its layers,
// and where each weight lies in a checkpoint. A Spec is built from config.json
// (Parse); everything after it (plans, packing, the forward pass) reads the
// Spec and never asks for an architecture's name.
package model

import (
	"fmt"

	"github.com/sullae/sullae/kernels/tensor"
)

// Spec is a decoder-only transformer. Letters as in ARCHITECTURE.md: C hidden
// size, H query heads, Hkv KV heads, D head size, F FFN size, V vocabulary,
// L layers.
type Spec struct {
	Architecture string // "ExaoneForCausalLM"
	Hidden       int    // C
	Heads        int    // H
	KVHeads      int    // Hkv; H is a multiple of it
	HeadDim      int    // D, a multiple of 8
	FFN          int    // F
	Vocab        int    // V
	MaxPositions int    // the context: prompt and generated tokens together
	NormEps      float32
	Activation   Activation
	AttnScale    float32 // D^-0.5 unless the config says otherwise
	Rope         Rope
	Tied         bool // the head is the embedding table
	// DType is the type that config.json states, tensor.Invalid where it states
	// none. An opened checkpoint has the embedding table's stored type here.
	// Single tensors may be stored in another type (checkpoint.Info).
	DType  tensor.DType
	Layers []Layer
	BOS    []int32 // as config.json says; never added to a prompt by itself
	EOS    []int32 // generation ends at any of these
	PAD    []int32

	names naming
}

// Layer is what may differ from layer to layer.
type Layer struct {
	Window int  // positions visible, the query's own counted; 0 means all
	Rope   bool // whether q and k are rotated
}

// Activation is the gate's function.
type Activation uint8

// Activations.
const (
	SiLU Activation = iota + 1
)

// Rope is the rotary embedding: inverse frequencies theta^(-2i/Dim), scaled.
type Rope struct {
	Theta   float64
	Dim     int // rotated elements of a head
	Scaling *Llama3Scaling
}

// Llama3Scaling stretches long wavelengths.
// After: transformers modeling_rope_utils.py, _compute_llama3_parameters.
type Llama3Scaling struct {
	Factor, LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositions                  int
}

// Role is what a weight does in the forward pass.
type Role uint8

// Roles. All matrices are [out, in] as Hugging Face stores them.
const (
	Embed     Role = iota // [V, C]
	Head                  // [V, C]
	FinalNorm             // [C]
	AttnNorm              // [C] before attention
	MLPNorm               // [C] before the MLP
	Q                     // [H*D, C]
	K                     // [Hkv*D, C]
	V                     // [Hkv*D, C]
	O                     // [C, H*D]
	Gate                  // [F, C]
	Up                    // [F, C]
	Down                  // [C, F]

	numRoles
)

var roleNames = [numRoles]string{
	"Embed", "Head", "FinalNorm", "AttnNorm", "MLPNorm", "Q", "K", "V", "O", "Gate", "Up", "Down",
}

// String is the role's name, for errors and listings.
func (r Role) String() string {
	if r < numRoles {
		return roleNames[r]
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// TensorRef is where a weight lies: rows [Row, Row+Rows) of a stored tensor
// (a fused tensor holds several weights).
type TensorRef struct {
	Name      string
	Row, Rows int
	Cols      int // 0 for a vector of Rows values
}
