package model

import (
	"slices"
	"testing"
)

func parsed(t *testing.T, members map[string]string) *Spec {
	t.Helper()
	s, err := Parse(edit(t, members), nil, "m")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTensorNames(t *testing.T) {
	s := parsed(t, map[string]string{"num_layers": "12"})
	for _, c := range []struct {
		role  Role
		layer int
		want  TensorRef
	}{
		{Embed, 0, TensorRef{"transformer.wte.weight", 0, 102400, 4096}},
		{Head, 0, TensorRef{"lm_head.weight", 0, 102400, 4096}},
		{FinalNorm, 0, TensorRef{"transformer.ln_f.weight", 0, 4096, 0}},
		{AttnNorm, 3, TensorRef{"transformer.h.3.ln_1.weight", 0, 4096, 0}},
		{K, 11, TensorRef{"transformer.h.11.attn.attention.k_proj.weight", 0, 1024, 4096}},
		{O, 0, TensorRef{"transformer.h.0.attn.attention.out_proj.weight", 0, 4096, 4096}},
		{Gate, 1, TensorRef{"transformer.h.1.mlp.c_fc_0.weight", 0, 14336, 4096}},
		{Down, 1, TensorRef{"transformer.h.1.mlp.c_proj.weight", 0, 4096, 14336}},
	} {
		if got := s.Tensor(c.role, c.layer); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.role, got, c.want)
		}
	}
	if n := len(s.Weights()); n != 12*9+3 {
		t.Errorf("%d weights", n)
	}
	if n := len(s.Stored()); n != 12*9+3 {
		t.Errorf("%d stored tensors", n)
	}
}

func TestTiedHead(t *testing.T) {
	s := parsed(t, map[string]string{"num_layers": "2", "tie_word_embeddings": "true"})
	if got, want := s.Tensor(Head, 0), s.Tensor(Embed, 0); got != want {
		t.Errorf("head %+v, embedding %+v", got, want)
	}
	if n := len(s.Weights()); n != 2*9+3 {
		t.Errorf("%d weights", n)
	}
	if n := len(s.Stored()); n != 2*9+2 {
		t.Errorf("%d stored tensors", n)
	}
}

// TestFusedNames: a naming with fused tensors, as other architectures have.
func TestFusedNames(t *testing.T) {
	s := parsed(t, map[string]string{"num_layers": "1"})
	s.names = naming{
		Embed: {name: "embed"}, Head: {name: "head"}, FinalNorm: {name: "norm"},
		AttnNorm: {name: "l.{layer}.n1"}, MLPNorm: {name: "l.{layer}.n2"},
		Q: {name: "l.{layer}.qkv"}, K: {name: "l.{layer}.qkv", after: []Role{Q}}, V: {name: "l.{layer}.qkv", after: []Role{Q, K}},
		O: {name: "l.{layer}.o"}, Gate: {name: "l.{layer}.gu"}, Up: {name: "l.{layer}.gu", after: []Role{Gate}}, Down: {name: "l.{layer}.d"},
	}
	if got, want := s.Tensor(V, 0), (TensorRef{"l.0.qkv", 4096 + 1024, 1024, 4096}); got != want {
		t.Errorf("v: got %+v, want %+v", got, want)
	}
	var shapes [][]int
	for _, st := range s.Stored() {
		if st.Name == "l.0.qkv" || st.Name == "l.0.gu" {
			shapes = append(shapes, st.Shape)
		}
	}
	if len(shapes) != 2 || !slices.Equal(shapes[0], []int{6144, 4096}) || !slices.Equal(shapes[1], []int{28672, 4096}) {
		t.Errorf("fused shapes %v", shapes)
	}
}

// TestRopeScale compares with values of the formula computed apart, in Python.
func TestRopeScale(t *testing.T) {
	inv := []float64{1.0, 0.1778279410038923, 0.03162277660168379, 0.005623413251903491, 0.001, 0.00017782794100389227, 3.1622776601683795e-05, 5.623413251903491e-06}
	l := &Llama3Scaling{Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositions: 64}
	want := []float64{1.0, 0.0643098724277271, 0.003952847075210474, 0.0007029266564879364, 0.000125, 2.2228492625486534e-05, 3.952847075210474e-06, 7.029266564879364e-07}
	got := l.scale(inv)
	for i := range want {
		if d := got[i] - want[i]; d > 1e-16 || d < -1e-16 {
			t.Errorf("frequency %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if inv[7] == got[7] {
		t.Error("the input was changed")
	}
}
