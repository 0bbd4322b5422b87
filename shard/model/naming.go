package model

import (
	"fmt"
	"strconv"
	"strings"
)

// naming says, for each role that an architecture has, under which name a
// checkpoint stores it. A role without a slot is one that the architecture
// lacks.
type naming map[Role]slot

// slot is a stored tensor, or a part of one.
type slot struct {
	// name holds layerMark where the layer's number belongs.
	name string
	// after are the roles whose rows come before this one's in the same stored
	// tensor: a fused [q; k; v] has q: nil, k: {Q}, v: {Q, K}.
	after []Role
}

// layerMark stands for the layer's number in a slot's name; roles without it
// exist once.
const layerMark = "{layer}"

// perLayer reports whether each layer has its own tensor.
func (s slot) perLayer() bool { return strings.Contains(s.name, layerMark) }

// in is the stored name in a layer.
func (s slot) in(layer int) string {
	return strings.Replace(s.name, layerMark, strconv.Itoa(layer), 1)
}

// Shape is the shape of one weight: [rows, cols], or [rows] with cols 0 for a
// vector.
func (s *Spec) Shape(role Role) (rows, cols int) {
	switch role {
	case Embed, Head:
		return s.Vocab, s.Hidden
	case FinalNorm, AttnNorm, MLPNorm, AttnPostNorm, MLPPostNorm:
		return s.Hidden, 0
	case QNorm, KNorm:
		return s.HeadDim, 0
	case QBias:
		return s.Heads * s.HeadDim, 0
	case KBias, VBias:
		return s.KVHeads * s.HeadDim, 0
	case Q:
		return s.Heads * s.HeadDim, s.Hidden
	case K, V:
		return s.KVHeads * s.HeadDim, s.Hidden
	case O:
		return s.Hidden, s.Heads * s.HeadDim
	case Gate, Up:
		return s.FFN, s.Hidden
	case Down:
		return s.Hidden, s.FFN
	}
	panic(fmt.Sprintf("model: no shape for %v", role))
}

// Has reports whether the architecture has a weight of this role.
func (s *Spec) Has(role Role) bool {
	_, ok := s.names[role]
	return ok
}

// PerLayer reports whether a role has one weight for each layer.
func (s *Spec) PerLayer(role Role) bool { return s.names[role].perLayer() }

// Tensor is where a weight lies. layer is ignored for roles that exist once.
// With tied embeddings the head is the embedding table. A role that the
// architecture lacks (Has) or a layer out of range is a broken invariant.
func (s *Spec) Tensor(role Role, layer int) TensorRef {
	if role == Head && s.Tied {
		role = Embed
	}
	at, ok := s.names[role]
	if !ok {
		panic(fmt.Sprintf("model: %s has no %v", s.Architecture, role))
	}
	if at.perLayer() && (layer < 0 || layer >= len(s.Layers)) {
		panic(fmt.Sprintf("model: layer %d of %d", layer, len(s.Layers)))
	}
	rows, cols := s.Shape(role)
	ref := TensorRef{Name: at.in(layer), Rows: rows, Cols: cols}
	for _, before := range at.after {
		n, _ := s.Shape(before)
		ref.Row += n
	}
	return ref
}

// Weight is one weight of the model.
type Weight struct {
	Role  Role
	Layer int // -1 for a role that exists once
	Ref   TensorRef
}

// Weights lists every weight, in the order of the forward pass. With tied
// embeddings the head is listed too, at the embedding's place.
func (s *Spec) Weights() []Weight {
	var out []Weight
	once := func(r Role) {
		if s.Has(r) || r == Head && s.Tied {
			out = append(out, Weight{r, -1, s.Tensor(r, 0)})
		}
	}
	once(Embed)
	for layer := range s.Layers {
		for r := Role(0); r < numRoles; r++ {
			if s.Has(r) && s.PerLayer(r) {
				out = append(out, Weight{r, layer, s.Tensor(r, layer)})
			}
		}
	}
	once(FinalNorm)
	once(Head)
	return out
}

// Stored is a tensor that a checkpoint of this model must hold.
type Stored struct {
	Name  string
	Shape []int // one or two dimensions
}

// Stored lists every tensor that a checkpoint must hold, once each, in the
// order of the forward pass; the parts of a fused tensor are one entry.
func (s *Spec) Stored() []Stored {
	var out []Stored
	at := map[string]int{}
	for _, w := range s.Weights() {
		end := w.Ref.Row + w.Ref.Rows
		if i, ok := at[w.Ref.Name]; ok {
			out[i].Shape[0] = max(out[i].Shape[0], end)
			continue
		}
		at[w.Ref.Name] = len(out)
		shape := []int{end}
		if w.Ref.Cols > 0 {
			shape = append(shape, w.Ref.Cols)
		}
		out = append(out, Stored{w.Ref.Name, shape})
	}
	return out
}
