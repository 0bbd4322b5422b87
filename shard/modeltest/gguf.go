package modeltest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/gguf"
)

// GGUFFile builds a GGUF file in memory.
type GGUFFile struct {
	meta, infos, data []byte
	entries, tensors  uint64
}

func text(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Set adds a metadata entry.
func (g *GGUFFile) Set(key string, v any) {
	g.entries++
	le := binary.LittleEndian
	g.meta = text(g.meta, key)
	array := func(kind uint32, n int) {
		g.meta = le.AppendUint32(g.meta, 9)
		g.meta = le.AppendUint32(g.meta, kind)
		g.meta = le.AppendUint64(g.meta, uint64(n))
	}
	switch v := v.(type) {
	case int:
		g.meta = le.AppendUint32(le.AppendUint32(g.meta, 4), uint32(v))
	case float32:
		g.meta = le.AppendUint32(le.AppendUint32(g.meta, 6), math.Float32bits(v))
	case bool:
		g.meta = append(le.AppendUint32(g.meta, 7), map[bool]byte{true: 1}[v])
	case string:
		g.meta = text(le.AppendUint32(g.meta, 8), v)
	case []string:
		array(8, len(v))
		for _, s := range v {
			g.meta = text(g.meta, s)
		}
	case []int:
		array(5, len(v))
		for _, n := range v {
			g.meta = le.AppendUint32(g.meta, uint32(n))
		}
	case []float32:
		array(6, len(v))
		for _, f := range v {
			g.meta = le.AppendUint32(g.meta, math.Float32bits(f))
		}
	case []bool:
		array(7, len(v))
		for _, b := range v {
			g.meta = append(g.meta, map[bool]byte{true: 1}[b])
		}
	default:
		panic(fmt.Sprintf("modeltest: metadata of type %T", v))
	}
}

// Add appends a tensor; shape is rows first.
func (g *GGUFFile) Add(name string, t gguf.Type, shape []int, data []byte) {
	g.tensors++
	le := binary.LittleEndian
	g.infos = le.AppendUint32(text(g.infos, name), uint32(len(shape)))
	for i := range shape {
		g.infos = le.AppendUint64(g.infos, uint64(shape[len(shape)-1-i]))
	}
	g.infos = le.AppendUint64(le.AppendUint32(g.infos, uint32(t)), uint64(len(g.data)))
	g.data = padded(append(g.data, data...))
}

func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&31)...) }

// Bytes is the file.
func (g *GGUFFile) Bytes() []byte {
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, g.tensors)
	b = binary.LittleEndian.AppendUint64(b, g.entries)
	b = padded(append(append(b, g.meta...), g.infos...))
	return append(b, g.data...)
}

// tensorNames are GGUF's names of a layer's tensors, by the last parts of Hugging
// Face's; architectures that use one for another thing come first.
var tensorNames = []struct{ arch, from, to string }{
	{"gemma2", "post_attention_layernorm", "post_attention_norm"}, {"gemma2", "pre_feedforward_layernorm", "ffn_norm"},
	{"exaone4", "post_attention_layernorm", "post_attention_norm"}, {"", "post_feedforward_layernorm", "post_ffw_norm"},
	{"", "input_layernorm", "attn_norm"}, {"", "post_attention_layernorm", "ffn_norm"}, {"", "ln_1", "attn_norm"}, {"", "ln_2", "ffn_norm"},
	{"", "q_proj", "attn_q"}, {"", "k_proj", "attn_k"}, {"", "v_proj", "attn_v"}, {"", "o_proj", "attn_output"}, {"", "out_proj", "attn_output"},
	{"", "qkv_proj", "attn_qkv"}, {"", "gate_up_proj", "ffn_up"}, {"", "q_norm", "attn_q_norm"}, {"", "k_norm", "attn_k_norm"},
	{"", "gate_proj", "ffn_gate"}, {"", "up_proj", "ffn_up"}, {"", "down_proj", "ffn_down"},
	{"", "c_fc_0", "ffn_gate"}, {"", "c_fc_1", "ffn_up"}, {"", "c_proj", "ffn_down"},
	{"", "embed_tokens", "token_embd"}, {"", "wte", "token_embd"}, {"", "lm_head", "output"}, {"", "norm", "output_norm"}, {"", "ln_f", "output_norm"},
}

var inLayer = regexp.MustCompile(`\.(\d+)\.`)

func ggufName(arch, name string) string {
	parts := strings.Split(name, ".")
	last, kind := parts[len(parts)-2], parts[len(parts)-1]
	for _, n := range tensorNames {
		if n.from == last && (n.arch == "" || n.arch == arch) {
			prefix := ""
			if m := inLayer.FindStringSubmatch(name); m != nil {
				prefix = "blk." + m[1] + "."
			}
			return prefix + n.to + "." + kind
		}
	}
	panic("modeltest: no GGUF name for " + name)
}

// GGUF writes the model of a folder as a GGUF file, as llama.cpp's converters do:
// its names, the rows of q and k of Llama in its order, Gemma's norms plus one, the
// rotary factors. typ chooses the type of each matrix; vectors are F32. Into F32,
// F16, BF16 and Q8_0 the values are converted; blocks of other types are random,
// the same for the same name.
func GGUF(t testing.TB, dir string, typ func(name string) gguf.Type) (path string) {
	t.Helper()
	c := Open(t, dir)
	var config map[string]any
	if err := json.Unmarshal(c.Config(), &config); err != nil {
		t.Fatal(err)
	}
	s := c.Spec()
	arch := map[string]string{"ExaoneForCausalLM": "exaone", "Exaone4ForCausalLM": "exaone4", "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama",
		"Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3", "Gemma2ForCausalLM": "gemma2", "Phi3ForCausalLM": "phi3"}[s.Architecture]
	g := &GGUFFile{}
	g.Set("general.architecture", arch)
	set := func(key string, v any) { g.Set(arch+"."+key, v) }
	set("context_length", s.MaxPositions)
	set("embedding_length", s.Hidden)
	set("block_count", len(s.Layers))
	set("feed_forward_length", s.FFN)
	set("attention.head_count", s.Heads)
	set("attention.head_count_kv", s.KVHeads)
	set("attention.key_length", s.HeadDim)
	set("attention.layer_norm_rms_epsilon", s.NormEps)
	set("rope.freq_base", float32(s.Rope.Theta))
	set("rope.dimension_count", s.Rope.Dim)
	vector := func(name string, values []float64) {
		var raw []byte
		for _, v := range values {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
		}
		g.Add(name, gguf.F32, []int{len(values)}, raw)
	}
	switch {
	case s.Rope.Llama3 != nil:
		vector("rope_freqs.weight", llama3Factors(config["rope_scaling"].(map[string]any), s.Rope.Theta, s.Rope.Dim))
	case s.Rope.Long != nil:
		set("rope.scaling.original_context_length", s.Rope.Long.OriginalMaxPositions)
		set("rope.scaling.attn_factor", float32(s.Rope.Long.Attention))
		vector("rope_factors_long.weight", s.Rope.Long.Long)
		vector("rope_factors_short.weight", s.Rope.Long.Short)
	}
	if w, ok := config["sliding_window"].(float64); ok && arch != "qwen2" {
		set("attention.sliding_window", int(w))
	}
	if arch == "exaone4" {
		slides := make([]bool, len(s.Layers))
		for i, l := range s.Layers {
			slides[i] = l.Window > 0
		}
		set("attention.sliding_window_pattern", slides)
	}
	if arch == "gemma2" {
		set("attn_logit_softcapping", s.AttnCap)
		set("final_logit_softcapping", s.LogitCap)
		set("attention.scale", s.AttnScale)
	}
	for key, ids := range map[string][]int32{"bos": s.BOS, "eos": s.EOS, "padding": s.PAD} {
		if len(ids) > 0 {
			g.Set("tokenizer.ggml."+key+"_token_id", int(ids[0]))
		}
	}
	AddTokenizer(t, g, dir)
	for _, stored := range s.Stored() {
		values := Values(t, c, stored.Name)
		name := ggufName(arch, stored.Name)
		if arch == "llama" && (strings.Contains(name, "attn_q.") || strings.Contains(name, "attn_k.")) {
			values = sideBySide(values, s.HeadDim)
		}
		kind := gguf.F32
		if len(stored.Shape) == 2 {
			kind = typ(stored.Name)
		}
		if arch == "gemma2" && strings.Contains(name, "norm") {
			for _, row := range values {
				for i := range row {
					row[i]++
				}
			}
		}
		g.Add(name, kind, stored.Shape, encode(name, kind, values))
	}
	path = filepath.Join(t.TempDir(), "model.gguf")
	write(t, path, g.Bytes())
	return path
}

// llama3Factors is what llama.cpp's converter writes for a llama3 scaling.
func llama3Factors(scaling map[string]any, theta float64, dim int) []float64 {
	n := func(key string) float64 { return scaling[key].(float64) }
	factor, low, high, old := n("factor"), n("low_freq_factor"), n("high_freq_factor"), n("original_max_position_embeddings")
	out := make([]float64, dim/2)
	for i, inv := range kernels.InvFreq(theta, dim) {
		wave := 2 * math.Pi / inv
		switch {
		case wave < old/high:
			out[i] = 1
		case wave > old/low:
			out[i] = factor
		default:
			s := (old/wave - low) / (high - low)
			out[i] = 1 / ((1-s)/factor + s)
		}
	}
	return out
}

// sideBySide puts the rows of each head that RoPE pairs beside each other.
func sideBySide(rows [][]float32, headDim int) [][]float32 {
	var out [][]float32
	for h := 0; h < len(rows); h += headDim {
		for i := range headDim / 2 {
			out = append(out, rows[h+i], rows[h+headDim/2+i])
		}
	}
	return out
}

// AddTokenizer writes a folder's byte-level tokenizer and chat template, if it has
// them.
func AddTokenizer(t testing.TB, g *GGUFFile, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil {
		return
	}
	var tok struct {
		Model struct {
			Vocab  map[string]int  `json:"vocab"`
			Merges json.RawMessage `json:"merges"`
		} `json:"model"`
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	load(t, filepath.Join(dir, "tokenizer.json"), &tok)
	n := len(tok.Model.Vocab)
	for _, a := range tok.Added {
		n = max(n, a.ID+1)
	}
	tokens, types := make([]string, n), make([]int, n)
	for text, id := range tok.Model.Vocab {
		tokens[id], types[id] = text, 1
	}
	for _, a := range tok.Added {
		tokens[a.ID], types[a.ID] = a.Content, map[bool]int{true: 3, false: 4}[a.Special]
	}
	var merges []string
	if json.Unmarshal(tok.Model.Merges, &merges) != nil {
		var pairs [][2]string
		if err := json.Unmarshal(tok.Model.Merges, &pairs); err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			merges = append(merges, p[0]+" "+p[1])
		}
	}
	g.Set("tokenizer.ggml.model", "gpt2")
	g.Set("tokenizer.ggml.pre", "exaone")
	g.Set("tokenizer.ggml.tokens", tokens)
	g.Set("tokenizer.ggml.token_type", types)
	g.Set("tokenizer.ggml.merges", merges)
	var config struct {
		Template string `json:"chat_template"`
	}
	load(t, filepath.Join(dir, "tokenizer_config.json"), &config)
	g.Set("tokenizer.chat_template", config.Template)
}

// Values are a tensor's rows, in float32.
func Values(t testing.TB, c *checkpoint.Checkpoint, name string) [][]float32 {
	t.Helper()
	info, err := c.Info(name)
	if err != nil {
		t.Fatal(err)
	}
	spec := kernels.WeightSpec{K: info.Columns(), DType: info.DType, Coding: info.Coding}
	size := info.RowBytes(0, spec.K)
	raw := make([]byte, info.Rows()*size)
	if err := c.ReadRegion(t.Context(), raw, name, 0, info.Rows(), 0, spec.K); err != nil {
		t.Fatal(err)
	}
	rows := make([][]float32, info.Rows())
	for i := range rows {
		rows[i] = make([]float32, spec.K)
		spec.Widen(rows[i], raw[i*size:(i+1)*size])
	}
	return rows
}

// encode writes rows in a type.
func encode(name string, kind gguf.Type, rows [][]float32) []byte {
	var out []byte
	le := binary.LittleEndian
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(h.Sum64(), uint64(kind)))
	for _, row := range rows {
		switch kind {
		case gguf.F32:
			out = append(out, float32Bytes(row)...)
		case gguf.F16:
			for _, v := range row {
				out = le.AppendUint16(out, tensor.Float32ToF16(v))
			}
		case gguf.BF16:
			for _, v := range row {
				out = le.AppendUint16(out, tensor.Float32ToBF16(v))
			}
		case gguf.Q8_0:
			out = append(out, ToQ8_0(row)...)
		default:
			for range len(row) / GGMLTypes[kind].Values {
				out = append(out, RandomBlock(rng, kind, 1e-3)...)
			}
		}
	}
	return out
}

func float32Bytes(row []float32) []byte {
	out := make([]byte, 0, 4*len(row))
	for _, v := range row {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// Plain writes the model of a GGUF file as a safetensors folder in float32, every
// value by the definition of its type (GGMLValue), under the config of the file.
func Plain(t testing.TB, path string) (dir string) {
	t.Helper()
	c := Open(t, path)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(strings.NewReader(string(raw)), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]gguf.Tensor{}
	for _, tensor := range f.Tensors {
		at[tensor.Name] = tensor
	}
	s, arch := c.Spec(), f.Meta.Text("general.architecture")
	var shard Shard
	for _, stored := range s.Stored() {
		tensor := at[ggufName(arch, stored.Name)]
		shape, known := GGMLTypes[tensor.Type]
		if !known {
			var data []byte
			for _, row := range Values(t, c, stored.Name) {
				data = append(data, float32Bytes(row)...)
			}
			shard.Add(stored.Name, "F32", stored.Shape, data)
			continue
		}
		k := stored.Shape[1]
		rows := make([][]float32, stored.Shape[0])
		for o := range rows {
			for i := range k {
				b := raw[tensor.Offset+int64((o*k+i)/shape.Values*shape.Bytes):][:shape.Bytes]
				rows[o] = append(rows[o], GGMLValue(tensor.Type, b, i%shape.Values))
			}
		}
		if arch == "llama" && strings.Contains(tensor.Name, "attn_q.") || strings.Contains(tensor.Name, "attn_k.") && arch == "llama" {
			rows = apart(rows, s.HeadDim)
		}
		var data []byte
		for _, row := range rows {
			data = append(data, float32Bytes(row)...)
		}
		shard.Add(stored.Name, "F32", stored.Shape, data)
	}
	return Folder(t, c.Config(), shard)
}

// apart undoes sideBySide.
func apart(rows [][]float32, headDim int) [][]float32 {
	out := make([][]float32, 0, len(rows))
	for h := 0; h < len(rows); h += headDim {
		for p := range 2 {
			for i := range headDim / 2 {
				out = append(out, rows[h+2*i+p])
			}
		}
	}
	return out
}

// Folder writes a config.json and one safetensors file.
func Folder(t testing.TB, config []byte, shard Shard) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "config.json"), config)
	write(t, filepath.Join(dir, "model.safetensors"), shard.Bytes(t))
	return dir
}
