package modeltest

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
)

// Scheme is a way in which safetensors folders hold quantized weights.
type Scheme struct {
	Name   string
	Method string // quant_method; "" is compressed-tensors
	Format string // compressed-tensors' format
	Config map[string]any
	Bits   int
	Group  int // values along K of a scale; 0: a row has one, -1: the matrix has one
	Scales string
	Zeros  bool // zero points other than the middle
	V2     bool // GPTQ's zero points stored as they are
	// ActOrder deals the columns to groups at random.
	ActOrder bool
	Block    int // of FP8: scales of square blocks
}

// Schemes are those that folders are found in.
var Schemes = []Scheme{
	{Name: "gptq", Method: "gptq", Bits: 4, Group: 32, Scales: "F16", Zeros: true},
	{Name: "gptq-actorder", Method: "gptq", Bits: 4, Group: 32, Scales: "F16", Zeros: true, ActOrder: true},
	{Name: "gptq-v2", Method: "gptq", Bits: 4, Group: 64, Scales: "BF16", Zeros: true, V2: true},
	{Name: "gptq-row", Method: "gptq", Bits: 4, Scales: "F16", Zeros: true},
	{Name: "gptq8", Method: "gptq", Bits: 8, Group: 32, Scales: "F16", Zeros: true},
	{Name: "awq", Method: "awq", Bits: 4, Group: 32, Scales: "F16", Zeros: true},
	{Name: "awq-f32", Method: "awq", Bits: 4, Group: 64, Scales: "F32", Zeros: true},
	{Name: "fp8-tensor", Method: "fp8", Bits: 8, Group: -1, Scales: "F32"},
	{Name: "fp8-block", Method: "fp8", Bits: 8, Scales: "F32", Block: 32},
	{Name: "fp8-channel", Format: "float-quantized", Bits: 8, Scales: "BF16"},
	{Name: "int8-channel", Format: "int-quantized", Bits: 8, Scales: "F32"},
	{Name: "int8-zeros", Format: "int-quantized", Bits: 8, Scales: "BF16", Zeros: true},
	{Name: "int8-tensor", Format: "naive-quantized", Bits: 8, Group: -1, Scales: "F32"},
	{Name: "packed4", Format: "pack-quantized", Bits: 4, Group: 32, Scales: "BF16"},
	{Name: "packed4-zeros", Format: "pack-quantized", Bits: 4, Group: 32, Scales: "F16", Zeros: true},
	{Name: "packed4-actorder", Format: "pack-quantized", Bits: 4, Group: 32, Scales: "F32", ActOrder: true},
	{Name: "packed8", Format: "pack-quantized", Bits: 8, Scales: "BF16"},
}

// Quantized writes the model of a folder with its layers' matrices quantized, and
// the same model with the values that those have, by the definition
// scale·(q - zero), rounded once, in float32.
func Quantized(t testing.TB, dir string, s Scheme) (quantized, plain string) {
	t.Helper()
	c := Open(t, dir)
	var config map[string]any
	if err := json.Unmarshal(c.Config(), &config); err != nil {
		t.Fatal(err)
	}
	plainConfig, _ := json.Marshal(config)
	q := map[string]any{"quant_method": s.Method, "bits": s.Bits, "group_size": s.Group, "desc_act": s.ActOrder}
	switch {
	case s.Method == "":
		q = map[string]any{"quant_method": "compressed-tensors", "format": s.Format}
	case s.V2:
		q["checkpoint_format"] = "gptq_v2"
	case s.Group == 0:
		q["group_size"] = -1
	}
	config["quantization_config"] = q
	quantConfig, _ := json.Marshal(config)
	var a, b Shard
	for _, stored := range c.Spec().Stored() {
		rows := Values(t, c, stored.Name)
		if len(stored.Shape) == 1 || !inLayer.MatchString(stored.Name) {
			raw := floats(rows)
			a.Add(stored.Name, "F32", stored.Shape, raw)
			b.Add(stored.Name, "F32", stored.Shape, raw)
			continue
		}
		m := s.quantize(stored.Name, rows)
		m.store(&a, strings.TrimSuffix(stored.Name, ".weight"))
		b.Add(stored.Name, "F32", stored.Shape, floats(m.values()))
	}
	return Folder(t, quantConfig, a), Folder(t, plainConfig, b)
}

func floats(rows [][]float32) []byte {
	var raw []byte
	for _, row := range rows {
		raw = append(raw, float32Bytes(row)...)
	}
	return raw
}

// quantizedMatrix is scale·(q - zero), or scale times an e4m3 number.
type quantizedMatrix struct {
	Scheme
	n, k, groups int
	q            [][]int // [n][k]; unsigned, of e4m3 the byte
	scale        [][]float64
	zero         [][]int // [n][groups]
	group        []int   // of each k
}

func (s Scheme) fp8() bool { return strings.HasPrefix(s.Name, "fp8") }

// quantize picks scales and zero points, and the integers nearest to the values.
func (s Scheme) quantize(name string, rows [][]float32) *quantizedMatrix {
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	m := &quantizedMatrix{Scheme: s, n: len(rows), k: len(rows[0]), groups: 1}
	size := m.k
	if s.Group > 0 {
		size = s.Group
	}
	if s.Block > 0 {
		size = s.Block
	}
	m.groups = (m.k + size - 1) / size
	for k := range m.k {
		m.group = append(m.group, k/size)
	}
	if s.ActOrder {
		rng.Shuffle(m.k, func(i, j int) { m.group[i], m.group[j] = m.group[j], m.group[i] })
	}
	top := 0.0
	for _, row := range rows {
		for _, v := range row {
			top = max(top, math.Abs(float64(v)))
		}
	}
	middle := 1 << (s.Bits - 1)
	for o, row := range rows {
		m.q, m.scale, m.zero = append(m.q, make([]int, m.k)), append(m.scale, make([]float64, m.groups)), append(m.zero, make([]int, m.groups))
		for g := range m.groups {
			scale := top / float64(middle) * (0.8 + 0.4*rng.Float64())
			if s.fp8() {
				scale = top / 448 * (1 + rng.Float64())
			}
			m.scale[o][g], m.zero[o][g] = roundTo(scale, s.Scales), middle
			if s.Zeros {
				m.zero[o][g] = middle + rng.IntN(middle) - middle/2
			}
			switch {
			case s.Group == -1:
				m.scale[o][g] = m.scale[0][0]
			case s.Block > 0:
				m.scale[o][g] = m.scale[o/s.Block*s.Block][g]
			}
		}
		for k, v := range row {
			g := m.group[k]
			if s.fp8() {
				m.q[o][k] = nearestF8(float64(v) / m.scale[o][g])
				continue
			}
			m.q[o][k] = min(max(int(math.Round(float64(v)/m.scale[o][g]))+m.zero[o][g], 0), 2*middle-1)
		}
	}
	return m
}

// nearestF8 is the e4m3 number nearest to v.
func nearestF8(v float64) int {
	best := 0
	for b := range 256 {
		if b&127 != 127 && math.Abs(float64(tensor.Float8ToFloat32(byte(b)))-v) < math.Abs(float64(tensor.Float8ToFloat32(byte(best)))-v) {
			best = b
		}
	}
	return best
}

func roundTo(v float64, typ string) float64 {
	switch typ {
	case "F16":
		return float64(tensor.HalfToFloat32(tensor.Float32ToF16(float32(v))))
	case "BF16":
		return float64(math.Float32frombits(uint32(tensor.Float32ToBF16(float32(v))) << 16))
	}
	return float64(float32(v))
}

// values are the matrix by definition.
func (m *quantizedMatrix) values() [][]float32 {
	rows := make([][]float32, m.n)
	for o := range rows {
		for k, g := range m.group {
			code := float64(m.q[o][k] - m.zero[o][g])
			if m.fp8() {
				code = float64(tensor.Float8ToFloat32(byte(m.q[o][k])))
			}
			rows[o] = append(rows[o], float32(m.scale[o][g]*code))
		}
	}
	return rows
}

// scaleBytes writes scales [n][g] or, turned, [g][n].
func (m *quantizedMatrix) scaleBytes(n, g int, at func(i, j int) float64) []byte {
	var raw []byte
	for i := range n {
		for j := range g {
			v := float32(at(i, j))
			switch m.Scales {
			case "F16":
				raw = binary.LittleEndian.AppendUint16(raw, tensor.Float32ToF16(v))
			case "BF16":
				raw = binary.LittleEndian.AppendUint16(raw, tensor.Float32ToBF16(v))
			default:
				raw = append(raw, float32Bytes([]float32{v})...)
			}
		}
	}
	return raw
}

// words packs integers of the scheme's bits, the one at place[i] of each run of a
// word's worth being i, into words.
func (m *quantizedMatrix) words(rows, cols int, place []int, at func(i, j int) int) []byte {
	per := 32 / m.Bits
	var raw []byte
	for i := range rows {
		for j := 0; j < cols; j += per {
			word := uint32(0)
			for p := range min(per, cols-j) {
				to := p
				if place != nil {
					to = place[p]
				}
				word |= uint32(at(i, j+p)&(1<<m.Bits-1)) << (to * m.Bits)
			}
			raw = binary.LittleEndian.AppendUint32(raw, word)
		}
	}
	return raw
}

// wordsDown packs along the first dimension.
func (m *quantizedMatrix) wordsDown(rows, cols int, at func(i, j int) int) []byte {
	per := 32 / m.Bits
	var raw []byte
	for i := 0; i < rows; i += per {
		for j := range cols {
			word := uint32(0)
			for p := range min(per, rows-i) {
				word |= uint32(at(i+p, j)&(1<<m.Bits-1)) << (p * m.Bits)
			}
			raw = binary.LittleEndian.AppendUint32(raw, word)
		}
	}
	return raw
}

func (m *quantizedMatrix) index() []byte {
	var raw []byte
	for _, g := range m.group {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(g))
	}
	return raw
}

// store adds the tensors of the matrix to a file.
func (m *quantizedMatrix) store(f *Shard, base string) {
	per := 32 / m.Bits
	turned := func(i, j int) float64 { return m.scale[j][i] }
	middle := 1 << (m.Bits - 1)
	switch {
	case m.Method == "gptq":
		less := 1
		if m.V2 {
			less = 0
		}
		f.Add(base+".qweight", "I32", []int{m.k / per, m.n}, m.wordsDown(m.k, m.n, func(i, j int) int { return m.q[j][i] }))
		f.Add(base+".scales", m.Scales, []int{m.groups, m.n}, m.scaleBytes(m.groups, m.n, turned))
		f.Add(base+".qzeros", "I32", []int{m.groups, m.n / per}, m.words(m.groups, m.n, nil, func(i, j int) int { return m.zero[j][i] - less }))
		f.Add(base+".g_idx", "I32", []int{m.k}, m.index())
	case m.Method == "awq":
		order := []int{0, 4, 1, 5, 2, 6, 3, 7}
		f.Add(base+".qweight", "I32", []int{m.k, m.n / per}, m.words(m.k, m.n, order, func(i, j int) int { return m.q[j][i] }))
		f.Add(base+".scales", m.Scales, []int{m.groups, m.n}, m.scaleBytes(m.groups, m.n, turned))
		f.Add(base+".qzeros", "I32", []int{m.groups, m.n / per}, m.words(m.groups, m.n, order, func(i, j int) int { return m.zero[j][i] }))
	case m.Format == "pack-quantized":
		f.Add(base+".weight_packed", "I32", []int{m.n, m.k / per}, m.words(m.n, m.k, nil, func(i, j int) int { return m.q[i][j] }))
		f.Add(base+".weight_scale", m.Scales, []int{m.n, m.groups}, m.scaleBytes(m.n, m.groups, func(i, j int) float64 { return m.scale[i][j] }))
		f.Add(base+".weight_shape", "I64", []int{2}, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(m.n)), uint64(m.k)))
		if m.Zeros {
			f.Add(base+".weight_zero_point", "I32", []int{(m.n + per - 1) / per, m.groups}, m.wordsDown(m.n, m.groups, func(i, j int) int { return m.zero[i][j] }))
		}
		if m.ActOrder {
			f.Add(base+".weight_g_idx", "I32", []int{m.k}, m.index())
		}
	default: // 8 bits, one in a byte
		typ, raw := "I8", []byte(nil)
		for o := range m.q {
			for _, q := range m.q[o] {
				if !m.fp8() {
					q -= middle
				}
				raw = append(raw, byte(q))
			}
		}
		if m.fp8() {
			typ = "F8_E4M3"
		}
		f.Add(base+".weight", typ, []int{m.n, m.k}, raw)
		name, shape := ".weight_scale", []int{m.n, 1}
		at := func(i, j int) float64 { return m.scale[i][j] }
		switch {
		case m.Group == -1:
			shape = []int{}
		case m.Block > 0:
			name, shape = ".weight_scale_inv", []int{(m.n + m.Block - 1) / m.Block, m.groups}
			at = func(i, j int) float64 { return m.scale[i*m.Block][j] }
		}
		n, g := 1, 1
		if len(shape) == 2 {
			n, g = shape[0], shape[1]
		}
		f.Add(base+name, m.Scales, shape, m.scaleBytes(n, g, at))
		if m.Zeros {
			var zeros []byte
			for o := range m.zero {
				zeros = append(zeros, byte(m.zero[o][0]-middle))
			}
			f.Add(base+".weight_zero_point", "I8", []int{m.n, 1}, zeros)
		}
	}
}
