package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// folder reads a small model folder into memory.
func folder(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = &fstest.MapFile{Data: data}
	}
	return out
}

const (
	weights = "model.safetensors"
	index   = "model.safetensors.index.json"
	shard1  = "model-00001-of-00002.safetensors"
	shard2  = "model-00002-of-00002.safetensors"
)

// edit replaces text in a file; in a safetensors file in the header, whose
// length is kept right.
func edit(m fstest.MapFS, file, old, new string) {
	data := m[file].Data
	if !strings.HasSuffix(file, ".safetensors") {
		if !bytes.Contains(data, []byte(old)) {
			panic("no " + old + " in " + file)
		}
		m[file] = &fstest.MapFile{Data: bytes.Replace(data, []byte(old), []byte(new), 1)}
		return
	}
	n := binary.LittleEndian.Uint64(data)
	header := string(data[8 : 8+n])
	if !strings.Contains(header, old) {
		panic("no " + old + " in " + header)
	}
	header = strings.Replace(header, old, new, 1)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	m[file] = &fstest.MapFile{Data: append(append(out, header...), data[8+n:]...)}
}

func TestOpenErrors(t *testing.T) {
	single := modeltest.Tiny(t, synth.Options{})
	sharded := modeltest.Reshard(t, single, 2)
	const q0 = "transformer.h.0.attn.attention.q_proj.weight"
	for _, c := range []struct {
		name, dir string
		damage    func(m fstest.MapFS)
		want      []string // all in the message
	}{
		{"no config", single, func(m fstest.MapFS) { delete(m, "config.json") },
			[]string{"x/config.json: file does not exist", "folder"}},
		{"config is a folder", single, func(m fstest.MapFS) { m["config.json"] = &fstest.MapFile{Mode: fs.ModeDir} },
			[]string{"x/config.json: not a regular file"}},
		{"endless config", single, func(m fstest.MapFS) { m["config.json"].Data = bytes.Repeat([]byte(" "), 2<<20) },
			[]string{"x/config.json: longer than 1048576 bytes"}},
		{"unknown architecture", single, func(m fstest.MapFS) { edit(m, "config.json", "ExaoneForCausalLM", "OtherModel") },
			[]string{`x/config.json: architectures: "OtherModel"`, "supported: Exaone4ForCausalLM, ExaoneForCausalLM"}},
		{"broken generation config", single, func(m fstest.MapFS) { m["generation_config.json"].Data = []byte("{") },
			[]string{"x/generation_config.json: "}},
		{"no weights", single, func(m fstest.MapFS) { delete(m, weights) },
			[]string{"x: neither model.safetensors nor model.safetensors.index.json is here"}},
		{"other weights", single, func(m fstest.MapFS) { m["model.gguf"] = m[weights]; delete(m, weights) },
			[]string{"x/model.gguf: offset 0: ", "this is no GGUF file"}},
		{"no index", sharded, func(m fstest.MapFS) { delete(m, index) },
			[]string{shard1, "download " + index + " too"}},
		{"empty file", single, func(m fstest.MapFS) { m[weights].Data = nil },
			[]string{"x/model.safetensors: 0 bytes are too few"}},
		{"half a header", single, func(m fstest.MapFS) { m[weights].Data = m[weights].Data[:500] },
			[]string{"x/model.safetensors: the header is said to be", "but only 492 follow"}},
		{"half a file", single, func(m fstest.MapFS) { m[weights].Data = m[weights].Data[:100_000] },
			[]string{"x/model.safetensors: tensor ", "end beyond", "the file is truncated"}},
		{"one byte more", single, func(m fstest.MapFS) { m[weights].Data = append(m[weights].Data, 0) },
			[]string{"x/model.safetensors: the last tensor ends at byte"}},
		{"a long header", single, func(m fstest.MapFS) { binary.LittleEndian.PutUint64(m[weights].Data, 1<<40) },
			[]string{"x/model.safetensors: the header is said to be 1099511627776 bytes long"}},
		{"missing tensor", single, func(m fstest.MapFS) { edit(m, weights, q0, "q0") },
			[]string{`x/model.safetensors: tensor "` + q0 + `" is missing`}},
		{"missing layer", single, func(m fstest.MapFS) { edit(m, "config.json", `"num_layers": 2`, `"num_layers": 3`) },
			[]string{`tensor "transformer.h.2.`, "x/config.json describes another model"}},
		{"wrong shape", single, func(m fstest.MapFS) { edit(m, "config.json", `"intermediate_size": 160`, `"intermediate_size": 168`) },
			[]string{`x/model.safetensors: tensor "transformer.h.0.mlp.c_fc_0.weight": shape [160 64], but x/config.json asks for [168 64]`}},
		{"transposed", single, func(m fstest.MapFS) { edit(m, weights, "[160,64]", "[64,160]") },
			[]string{`shape [64 160], but x/config.json asks for [160 64]`}},
		{"unsupported dtype", single, func(m fstest.MapFS) { edit(m, weights, `"BF16"`, `"I16"`) },
			[]string{`x/model.safetensors: tensor "transformer.wte.weight": dtype I16 is not supported; supported: F32, BF16, F16`}},
		{"unknown dtype", single, func(m fstest.MapFS) { edit(m, weights, `"BF16"`, `"Q4_K"`) },
			[]string{`x/model.safetensors: header: tensor "transformer.wte.weight": dtype "Q4_K" is not known`}},
		{"dtype of another size", single, func(m fstest.MapFS) { edit(m, weights, `"BF16"`, `"F32"`) },
			[]string{`tensor "transformer.wte.weight": shape [512 64] of F32 needs 131072 bytes, but data_offsets [0, 65536] hold 65536`}},
		{"biases that nobody reads", modeltest.Dir(t, "tiny-qwen2-12h3kv-bf16-win8"), func(m fstest.MapFS) { edit(m, "config.json", "Qwen2ForCausalLM", "LlamaForCausalLM") },
			[]string{`x/model.safetensors: tensor "model.layers.0.self_attn.k_proj.bias": LlamaForCausalLM has no such bias`}},
		{"broken index", sharded, func(m fstest.MapFS) { m[index].Data = m[index].Data[:100] },
			[]string{"x/" + index + ": "}},
		{"index without map", sharded, func(m fstest.MapFS) { m[index].Data = []byte(`{"metadata":{}}`) },
			[]string{"x/" + index + ": weight_map is missing or empty"}},
		{"index with a number", sharded, func(m fstest.MapFS) { m[index].Data = []byte(`{"weight_map":{"a":7}}`) },
			[]string{"x/" + index + `: weight_map: "a": 7 where a file's name belongs`}},
		{"index leads away", sharded, func(m fstest.MapFS) { edit(m, index, shard1, "../secret.safetensors") },
			[]string{"x/" + index + ": weight_map: ", `"../secret.safetensors" is not the plain name`}},
		{"index leads away on another system", sharded, func(m fstest.MapFS) { edit(m, index, shard1, `C:\\a.safetensors`) },
			[]string{"x/" + index + ": weight_map: ", "is not the plain name"}},
		{"index names a missing file", sharded, func(m fstest.MapFS) { delete(m, shard2) },
			[]string{"x/" + shard2 + ": file does not exist", index + " names it"}},
		{"index lacks a tensor", sharded, func(m fstest.MapFS) {
			var all struct {
				Map map[string]string `json:"weight_map"`
			}
			if json.Unmarshal(m[index].Data, &all) != nil {
				panic("index")
			}
			delete(all.Map, q0)
			m[index].Data, _ = json.Marshal(map[string]any{"weight_map": all.Map})
		}, []string{"x/" + index + ": weight_map: tensor \"" + q0 + `" is in model-0000`, `but the index says ""`}},
		{"index has a tensor too many", sharded, func(m fstest.MapFS) { edit(m, index, `"weight_map":{`, `"weight_map":{"zz":"`+shard1+`",`) },
			[]string{"x/" + index + `: weight_map: tensor "zz" is said to be in ` + shard1 + ", which does not hold it"}},
		{"index has a tensor twice", sharded, func(m fstest.MapFS) {
			edit(m, index, `"weight_map":{`, `"weight_map":{"lm_head.weight":"`+shard1+`",`)
		},
			[]string{"x/" + index + `: weight_map: tensor "lm_head.weight" appears twice`}},
		{"the shards are exchanged", sharded, func(m fstest.MapFS) { m[shard1], m[shard2] = m[shard2], m[shard1] },
			[]string{"x/" + index + ": weight_map: tensor ", "but the index says"}},
	} {
		m := folder(t, c.dir)
		c.damage(m)
		ck, err := checkpoint.OpenFS(m, "x")
		if err == nil {
			t.Errorf("%s: opened", c.name)
			ck.Close()
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s:\n  got  %v\n  want %s", c.name, err, want)
			}
		}
	}
}

func TestOpenFolderErrors(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	for _, c := range []struct{ dir, want string }{
		{filepath.Join(dir, "none"), "none: no such file or directory"},
		{filepath.Join(dir, weights), "this is a file; give the folder"},
		{t.TempDir(), "config.json: no such file or directory; give a folder that holds a model"},
	} {
		if _, err := checkpoint.Open(c.dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// FuzzOpen: whatever a file's bytes are changed to, opening it neither panics
// nor gives a checkpoint that cannot be read.
func FuzzOpen(f *testing.F) {
	files := folder(f, modeltest.Tiny(f, synth.Options{Layers: 1, Hidden: 8, Heads: 1, KVHeads: 1, HeadDim: 8, FFN: 8, Vocab: 2}))
	sharded := folder(f, modeltest.Reshard(f, modeltest.Tiny(f, synth.Options{Layers: 1, Hidden: 8, Heads: 1, KVHeads: 1, HeadDim: 8, FFN: 8, Vocab: 2}), 2))
	f.Add(uint8(0), uint32(5), []byte("x"))
	f.Add(uint8(1), uint32(0), []byte{0xff, 0xff, 0xff})
	f.Add(uint8(2), uint32(40), []byte("]]"))
	f.Add(uint8(3), uint32(100), []byte("999"))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		m := fstest.MapFS{}
		base := files
		name := []string{"config.json", weights, "config.json", index, shard1}[which%5]
		if which%5 > 2 {
			base = sharded
		}
		for k, v := range base {
			m[k] = v
		}
		data := slices.Clone(m[name].Data)
		copy(data[int(at)%len(data):], patch)
		m[name] = &fstest.MapFile{Data: data}
		c, err := checkpoint.OpenFS(m, "x")
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, s := range c.Spec().Stored() {
			region(t, c, s.Name, 0, -1, 0, -1)
		}
		c.Close()
	})
}
