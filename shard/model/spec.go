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
	NormOffset   float32 // norms multiply by their weight plus this: 0, Gemma's 1
	Activation   Activation
	EmbedScale   float32 // embeddings are multiplied by this; 1 unless the config says otherwise
	AttnScale    float32 // D^-0.5 unless the config says otherwise
	AttnCap      float32 // soft cap of attention's scores; 0: none
	LogitCap     float32 // soft cap of logits; 0: none
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

// Window is the largest window where all layers slide, and 0 where one sees
// everything: what is further back than the window is never read again.
func (s *Spec) Window() int {
	w := 0
	for _, l := range s.Layers {
		if l.Window == 0 {
			return 0
		}
		w = max(w, l.Window)
	}
	return w
}

// Layer is what may differ from layer to layer. Norms that an architecture
// lacks are roles that it lacks (Has).
type Layer struct {
	Window int  // positions visible, the query's own counted; 0 means all
	Rope   bool // whether q and k are rotated
}

// Activation is the gate's function.
type Activation uint8

// Activations.
const (
	SiLU     Activation = iota + 1
	GELUTanh            // by the tanh formula
)

// Role is what a weight does in the forward pass.
type Role uint8

// Roles. All matrices are [out, in] as Hugging Face stores them.
const (
	Embed        Role = iota // [V, C]
	Head                     // [V, C]
	FinalNorm                // [C]
	AttnNorm                 // [C] before attention
	Q                        // [H*D, C]
	K                        // [Hkv*D, C]
	V                        // [Hkv*D, C]
	QBias                    // [H*D]
	KBias                    // [Hkv*D]
	VBias                    // [Hkv*D]
	QNorm                    // [D] over each query head, before it is rotated
	KNorm                    // [D] over each key head, before it is rotated
	O                        // [C, H*D]
	AttnPostNorm             // [C] after attention, before the residual add
	MLPNorm                  // [C] before the MLP
	Gate                     // [F, C]
	Up                       // [F, C]
	Down                     // [C, F]
	MLPPostNorm              // [C] after the MLP, before the residual add

	numRoles
)

var roleNames = [numRoles]string{
	"Embed", "Head", "FinalNorm", "AttnNorm", "Q", "K", "V", "QBias", "KBias", "VBias", "QNorm", "KNorm", "O",
	"AttnPostNorm", "MLPNorm", "Gate", "Up", "Down", "MLPPostNorm",
}

// String is the role's name, for errors and listings.
func (r Role) String() string {
	if r < numRoles {
		return roleNames[r]
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// Norm reports whether the weight is a norm's.
func (r Role) Norm() bool {
	switch r {
	case FinalNorm, AttnNorm, AttnPostNorm, MLPNorm, MLPPostNorm, QNorm, KNorm:
		return true
	}
	return false
}

// TensorRef is where a weight lies: rows [Row, Row+Rows) of a stored tensor
// (a fused tensor holds several weights).
type TensorRef struct {
	Name      string
	Row, Rows int
	Cols      int // 0 for a vector of Rows values
}
