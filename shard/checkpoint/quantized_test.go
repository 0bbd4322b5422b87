package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

const down, gate, query = "transformer.h.0.mlp.c_proj", "transformer.h.0.mlp.c_fc_0", "transformer.h.0.attn.attention.q_proj"

func quantizable(t testing.TB) string {
	return modeltest.Tiny(t, synth.Options{Layers: 1, Hidden: 64, Heads: 2, KVHeads: 1, HeadDim: 32, FFN: 160, Vocab: 40})
}

// TestQuantizedRegions: any region of a quantized tensor is made of the values that
// the format's definition gives.
func TestQuantizedRegions(t *testing.T) {
	check := func(t *testing.T, quantized, plain string, stored string) {
		c, want := modeltest.Open(t, quantized), modeltest.Open(t, plain)
		if c.Quantized() == "" || want.Quantized() != "" || c.ID() == want.ID() {
			t.Errorf("%q, %q, %s, %s", c.Quantized(), want.Quantized(), c.ID(), want.ID())
		}
		for _, name := range []string{down + ".weight", query + ".weight"} {
			info, err := c.Info(name)
			if err != nil || info.Coding == nil {
				t.Fatalf("%+v, %v", info, err)
			}
			if err := info.Coding.Check(info.DType, info.Columns()); err != nil {
				t.Fatal(err)
			}
			values := modeltest.Values(t, want, name)
			n, k := info.Rows(), info.Columns()
			for _, r := range [][4]int{{0, n, 0, k}, {0, n, 8, 40}, {5, 7, 24, k - 24}, {n - 1, 1, k - 8, 8}, {3, 0, 0, k}, {3, 1, 16, 0}} {
				raw := region(t, c, name, r[0], r[1], r[2], r[3])
				spec := kernels.WeightSpec{DType: info.DType}
				spec.Coding, _ = info.Coding.Columns(r[2], r[3])
				size := info.RowBytes(r[2], r[3])
				row := make([]float32, r[3])
				for i := range r[1] {
					spec.Widen(row, raw[i*size:(i+1)*size])
					if !slices.Equal(row, values[r[0]+i][r[2]:r[2]+r[3]]) {
						t.Fatalf("%s, region %v, row %d: %v, want %v", name, r, i, row, values[r[0]+i][r[2]:r[2]+r[3]])
					}
				}
			}
		}
		for _, l := range c.List() {
			if l.Name == down+".weight" && (l.DType != stored || !l.Used || l.Bytes == 0) {
				t.Errorf("listed as %+v, want %s", l, stored)
			}
			if strings.Contains(l.Name, "scale") || strings.Contains(l.Name, "zero") {
				t.Errorf("%s is listed by itself", l.Name)
			}
		}
	}
	names := map[string]string{"gptq": "GPTQ 4-bit", "gptq-actorder": "GPTQ act-order 4-bit", "gptq-v2": "GPTQ 4-bit", "gptq-row": "GPTQ 4-bit", "gptq8": "GPTQ 8-bit",
		"awq": "AWQ 4-bit", "fp8-tensor": "F8_E4M3", "fp8-block": "F8_E4M3", "fp8-channel": "F8_E4M3",
		"int8-channel": "I8", "int8-zeros": "I8", "int8-tensor": "I8", "packed4": "packed 4-bit", "packed4-zeros": "packed 4-bit", "packed4-actorder": "packed 4-bit", "packed8": "packed 8-bit"}
	for _, s := range modeltest.Schemes {
		t.Run(s.Name, func(t *testing.T) {
			if s.Group == 64 {
				s.Group = 32
			}
			quantized, plain := modeltest.Quantized(t, quantizable(t), s)
			if s.Name == "awq-f32" {
				names[s.Name] = "AWQ 4-bit"
			}
			check(t, quantized, plain, names[s.Name])
		})
	}
	wide := modeltest.Tiny(t, synth.Options{Layers: 1, Hidden: 256, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 512, Vocab: 40})
	for typ := range modeltest.GGMLTypes {
		t.Run(fmt.Sprint(typ), func(t *testing.T) {
			path := modeltest.GGUF(t, wide, func(string) gguf.Type { return typ })
			check(t, path, modeltest.Plain(t, path), typ.String())
		})
	}
}

// TestQuantizedErrors: what is missing or does not fit is named.
func TestQuantizedErrors(t *testing.T) {
	base := quantizable(t)
	scheme := func(name string) fstest.MapFS {
		i := slices.IndexFunc(modeltest.Schemes, func(s modeltest.Scheme) bool { return s.Name == name })
		quantized, _ := modeltest.Quantized(t, base, modeltest.Schemes[i])
		return folder(t, quantized)
	}
	for _, c := range []struct{ name, scheme, file, old, new, want string }{
		{"method", "gptq", "config.json", `"quant_method":"gptq"`, `"quant_method":"aqlm"`, `x/config.json: quantization_config.quant_method: "aqlm" is not supported; supported: gptq, awq, fp8`},
		{"no method", "gptq", "config.json", `"quant_method":"gptq"`, `"method":"gptq"`, `quant_method: "" is not supported`},
		{"layout", "gptq", "config.json", `"quant_method":"gptq"`, `"quant_method":"gptq","checkpoint_format":"marlin"`, `checkpoint_format: "marlin"`},
		{"format", "packed4", "config.json", `"pack-quantized"`, `"marlin-24"`, `quantization_config.format: "marlin-24"`},
		{"version", "awq", "config.json", `"quant_method":"awq"`, `"quant_method":"awq","version":"gemv"`, `quantization_config.version: "gemv"`},
		{"no config", "gptq", "config.json", `"quantization_config"`, `"quantized"`, `.qweight": config.json has no quantization_config`},
		{"no scales", "gptq", weights, query + ".scales", query + ".spales", `"` + query + `.qweight": scales is missing beside it`},
		{"no zeros", "awq", weights, query + ".qzeros", query + ".qperos", `"` + query + `.qweight": qzeros is missing beside it`},
		{"no FP8 scale", "fp8-tensor", weights, query + ".weight_scale", query + ".weight_spale", `"` + query + `.weight": dtype F8_E4M3 without weight_scale beside it`},
		{"no weight", "gptq", weights, query + ".qweight", query + ".qpeight", `tensor "` + query + `.weight" is missing`},
		{"group size", "gptq", "config.json", `"group_size":32`, `"group_size":16`, `scales has 2 groups, where group_size 16 makes 4`},
	} {
		m := scheme(c.scheme)
		if c.name == "group size" { // an index that is in runs of the size comes first
			edit(m, weights, query+".g_idx", query+".p_idx")
		}
		edit(m, c.file, c.old, c.new)
		if _, err := checkpoint.OpenFS(m, "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
	m := scheme("gptq-actorder")
	data := m[weights].Data
	n := binary.LittleEndian.Uint64(data)
	at := bytes.Index(data, []byte(`"`+query+`.g_idx"`))
	var begin int
	if _, err := fmt.Sscanf(string(data[at+bytes.Index(data[at:], []byte("data_offsets\":["))+15:]), "%d", &begin); err != nil {
		t.Fatal(err)
	}
	data[8+int(n)+begin+4*9] = 77
	if _, err := checkpoint.OpenFS(m, "x"); err == nil || !strings.Contains(err.Error(), query+".g_idx: element 9: group 77 of 2") {
		t.Errorf("%v", err)
	}
}

// TestGGUFErrors: a file that does not hold the whole model, or only a part of it.
func TestGGUFErrors(t *testing.T) {
	path := modeltest.GGUF(t, quantizable(t), func(string) gguf.Type { return gguf.F16 })
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) fstest.MapFS {
		return fstest.MapFS{"m.gguf": {Data: bytes.Replace(good, []byte(old), []byte(new), 1)}}
	}
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"tensor":  {replace("blk.0.attn_q.", "blk.0.attn_p."), `tensor "transformer.h.0.attn.attention.q_proj.weight" is missing; its metadata describes another model`},
		"key":     {replace("exaone.block_count", "exaone.black_count"), "x/m.gguf: exaone.block_count: missing"},
		"shape":   {replace("feed_forward_length\x04\x00\x00\x00\xa0", "feed_forward_length\x04\x00\x00\x00\xb0"), "but its metadata asks for [176 64]"},
		"several": {fstest.MapFS{"a.gguf": {Data: good}, "b.gguf": {Data: good}}, "there are a.gguf and b.gguf; give one of the files"},
		"part":    {fstest.MapFS{"m-00001-of-00002.gguf": {Data: good}}, "x/m-00002-of-00002.gguf: file does not exist"},
		"twice":   {fstest.MapFS{"m-00001-of-00002.gguf": {Data: good}, "m-00002-of-00002.gguf": {Data: good}}, "is in x/m-00001-of-00002.gguf too"},
	} {
		if _, err := checkpoint.OpenFS(c.files, "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
	if _, err := checkpoint.Open(path + ".bak"); err == nil || !strings.Contains(err.Error(), "model.gguf.bak") {
		t.Errorf("%v", err)
	}
}

// FuzzQuantized: whatever the bytes of a quantized folder or GGUF file are changed
// to, opening it neither panics nor gives a checkpoint that cannot be read.
func FuzzQuantized(f *testing.F) {
	base := modeltest.Tiny(f, synth.Options{Layers: 1, Hidden: 32, Heads: 1, KVHeads: 1, HeadDim: 32, FFN: 32, Vocab: 2})
	var files []fstest.MapFS
	for _, s := range modeltest.Schemes {
		quantized, _ := modeltest.Quantized(f, base, modeltest.Scheme{Name: s.Name, Method: s.Method, Format: s.Format, Bits: s.Bits, Group: min(s.Group, 32), Scales: s.Scales,
			Zeros: s.Zeros, V2: s.V2, ActOrder: s.ActOrder, Block: s.Block})
		files = append(files, folder(f, quantized))
	}
	raw, err := os.ReadFile(modeltest.GGUF(f, base, func(string) gguf.Type { return gguf.Q8_0 }))
	if err != nil {
		f.Fatal(err)
	}
	files = append(files, fstest.MapFS{"m.gguf": {Data: raw}})
	for i := range files {
		f.Add(uint8(i), uint32(300), []byte("9"))
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		m := fstest.MapFS{}
		for k, v := range files[int(which)%len(files)] {
			m[k] = v
		}
		for _, name := range []string{weights, "m.gguf", "config.json"} {
			if m[name] != nil && (name != "config.json" || at%2 == 0) {
				data := slices.Clone(m[name].Data)
				copy(data[int(at)%min(len(data), 6000):], patch)
				m[name] = &fstest.MapFile{Data: data}
				break
			}
		}
		c, err := checkpoint.OpenFS(m, "x")
		if err != nil {
			if len(err.Error()) > 3000 {
				t.Errorf("an error of %d bytes: %.300s", len(err.Error()), err.Error())
			}
			return
		}
		for _, s := range c.Spec().Stored() {
			region(t, c, s.Name, 0, -1, 0, -1)
		}
		c.Close()
	})
}
