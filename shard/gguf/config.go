package gguf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Reader reads the values of a tensor, for the few that belong to the config.
type Reader func(t Tensor) ([]float32, error)

// config is a config.json in the making. The first error is kept.
type config struct {
	f    *File
	read Reader
	arch string
	out  map[string]any
	err  error
}

// Config is the config.json that Hugging Face has for this model, as far as the
// file tells. Errors name the metadata key.
func (f *File) Config(read Reader) ([]byte, error) {
	name, a, err := f.architecture()
	if err != nil {
		return nil, err
	}
	c := &config{f: f, read: read, arch: name, out: map[string]any{}}
	c.set("architectures", []string{a.class})
	c.set("hidden_size", c.count("embedding_length"))
	c.set("num_hidden_layers", c.count("block_count"))
	c.set("num_attention_heads", c.count("attention.head_count"))
	if _, ok := f.Meta[name+".attention.head_count_kv"]; ok {
		c.set("num_key_value_heads", c.count("attention.head_count_kv"))
	}
	if n, ok := f.Meta.Uint(name + ".attention.key_length"); ok {
		c.set("head_dim", n)
		if v, ok := f.Meta.Uint(name + ".attention.value_length"); ok && v != n {
			c.fail("attention.value_length", "%d, but attention.key_length is %d; heads of one size are supported", v, n)
		}
	}
	c.set("intermediate_size", c.count("feed_forward_length"))
	c.set("max_position_embeddings", c.count("context_length"))
	c.set("rms_norm_eps", c.number("attention.layer_norm_rms_epsilon"))
	c.set("hidden_act", a.activation)
	c.embedding()
	c.rope()
	c.tokens()
	if a.rest != nil && c.err == nil {
		a.rest(c)
	}
	if c.err != nil {
		return nil, c.err
	}
	for from, to := range a.keys {
		c.out[to] = c.out[from]
		delete(c.out, from)
	}
	return json.MarshalIndent(c.out, "", "  ")
}

func (c *config) set(key string, v any) { c.out[key] = v }

// fail keeps the first error.
func (c *config) fail(key, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s.%s: %s", c.arch, key, fmt.Sprintf(format, args...))
	}
}

// count is a required whole number.
func (c *config) count(key string) uint64 {
	n, ok := c.f.Meta.Uint(c.arch + "." + key)
	if !ok {
		if v, there := c.f.Meta[c.arch+"."+key]; there {
			c.fail(key, "%.60s is not a whole number", fmt.Sprint(v))
		} else {
			c.fail(key, "missing")
		}
	}
	return n
}

// decimal is a number as a file of text has it: of the float32 that GGUF keeps,
// the shortest decimal, which is the one that was written.
func decimal(v float64) json.Number {
	if v != float64(float32(v)) {
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return json.Number(strconv.FormatFloat(v, 'g', -1, 32))
}

// number is a required number.
func (c *config) number(key string) json.Number {
	v, ok := c.f.Meta.Float(c.arch + "." + key)
	if !ok {
		c.fail(key, "missing, or not a finite number")
	}
	return decimal(v)
}

// embedding sets the vocabulary, and whether the head is the embedding.
func (c *config) embedding() {
	tied := true
	for _, t := range c.f.Tensors {
		switch t.Name {
		case "token_embd.weight":
			c.set("vocab_size", t.Dims[0])
		case "output.weight":
			tied = false
		}
	}
	if c.out["vocab_size"] == nil && c.err == nil {
		c.err = errors.New("tensor \"token_embd.weight\" is missing")
	}
	c.set("tie_word_embeddings", tied)
}

// tokens sets the special tokens. A turn's end ends a generation too.
func (c *config) tokens() {
	id := func(key string) (uint64, bool) { return c.f.Meta.Uint("tokenizer.ggml." + key) }
	if n, ok := id("bos_token_id"); ok {
		c.set("bos_token_id", n)
	}
	if n, ok := id("padding_token_id"); ok {
		c.set("pad_token_id", n)
	}
	var ends []uint64
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		if n, ok := id(key); ok && !slices.Contains(ends, n) {
			ends = append(ends, n)
		}
	}
	if len(ends) > 0 {
		c.set("eos_token_id", ends)
	}
}

// headDim is the head size.
func (c *config) headDim() int {
	if n, ok := c.out["head_dim"].(uint64); ok {
		return int(n)
	}
	hidden, _ := c.out["hidden_size"].(uint64)
	heads, _ := c.out["num_attention_heads"].(uint64)
	if heads == 0 || hidden > 1<<31 {
		return 0
	}
	return int(hidden / heads)
}

// gemma2Rest: query_pre_attn_scalar is not in the file; the 27B model has
// hidden / heads, the others the head size.
func gemma2Rest(c *config) {
	scalar := float64(c.headDim())
	hidden, heads := c.out["hidden_size"].(uint64), c.out["num_attention_heads"].(uint64)
	if c.out["num_hidden_layers"].(uint64) == 46 && heads > 0 {
		scalar = float64(hidden / heads)
	}
	if s, ok := c.f.Meta.Float(c.arch + ".attention.scale"); ok && s > 0 {
		scalar = 1 / (s * s)
		if r := math.Round(scalar); math.Abs(scalar-r) < 1e-5*r {
			scalar = r // it was a whole number before it was a float32
		}
	}
	c.set("query_pre_attn_scalar", scalar)
	for _, key := range []string{"attn_logit_softcapping", "final_logit_softcapping"} {
		if _, ok := c.f.Meta[c.arch+"."+key]; ok {
			c.set(key, c.number(key))
		}
	}
	c.set("sliding_window", c.count("attention.sliding_window"))
}

// mistralWindow: with a window in all layers it is Mistral.
func mistralWindow(c *config) {
	if w, ok := c.f.Meta.Uint(c.arch + ".attention.sliding_window"); ok && w > 0 {
		c.set("architectures", []string{"MistralForCausalLM"})
		c.set("sliding_window", w)
	}
}

// exaone4Windows: a window, if there is one, in all but every fourth layer, or as
// the file says.
func exaone4Windows(c *config) {
	window, ok := c.f.Meta.Uint(c.arch + ".attention.sliding_window")
	if !ok || window == 0 {
		c.set("sliding_window", nil)
		return
	}
	c.set("sliding_window", window)
	layers := c.out["num_hidden_layers"].(uint64)
	const key = "attention.sliding_window_pattern"
	slides := func(i int) bool { return (i+1)%4 != 0 }
	switch p := c.f.Meta[c.arch+"."+key].(type) {
	case []bool:
		if uint64(len(p)) != layers {
			c.fail(key, "%d layers of %d", len(p), layers)
			return
		}
		slides = func(i int) bool { return p[i] }
	case int64:
		if p < 1 {
			c.fail(key, "%d", p)
			return
		}
		slides = func(i int) bool { return (i+1)%int(p) != 0 }
	}
	if layers > maxLayers {
		c.fail("block_count", "%d, which is not believed", layers)
		return
	}
	types := make([]string, layers)
	for i := range types {
		types[i] = "full_attention"
		if slides(i) {
			types[i] = "sliding_attention"
		}
	}
	c.set("layer_types", types)
}

// maxLayers is more than any model has.
const maxLayers = 1 << 16
