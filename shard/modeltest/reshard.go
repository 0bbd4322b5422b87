package modeltest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Reshard copies a checkpoint into a folder of the test's own, its tensors dealt
// in turn to n files, so that single layers are split over files.
func Reshard(t testing.TB, dir string, n int) string {
	t.Helper()
	src, out := Open(t, dir), t.TempDir()
	shards := make([]Shard, n)
	weightMap := map[string]string{}
	for i, l := range src.List() {
		info, err := src.Info(l.Name)
		if err != nil {
			t.Fatal(err)
		}
		rows, cols := 1, info.Shape[0]
		if len(info.Shape) == 2 {
			rows, cols = info.Shape[0], info.Shape[1]
		}
		data := make([]byte, l.Bytes)
		if err := src.ReadRegion(t.Context(), data, l.Name, 0, rows, 0, cols); err != nil {
			t.Fatal(err)
		}
		shards[i%n].Add(l.Name, l.DType, info.Shape, data)
		weightMap[l.Name] = shardName(i%n, n)
	}
	for i := range shards {
		write(t, filepath.Join(out, shardName(i, n)), shards[i].Bytes(t))
	}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": weightMap})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(out, "model.safetensors.index.json"), index)
	write(t, filepath.Join(out, "config.json"), src.Config())
	if gen := src.GenerationConfig(); gen != nil {
		write(t, filepath.Join(out, "generation_config.json"), gen)
	}
	return out
}

func shardName(i, n int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n) }

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Shard builds a safetensors file in memory, tensor by tensor.
type Shard struct {
	header map[string]shardEntry
	data   []byte
}

type shardEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Add appends a tensor.
func (s *Shard) Add(name, dtype string, shape []int, data []byte) {
	if s.header == nil {
		s.header = map[string]shardEntry{}
	}
	at := int64(len(s.data))
	s.header[name] = shardEntry{dtype, shape, [2]int64{at, at + int64(len(data))}}
	s.data = append(s.data, data...)
}

// Bytes is the file.
func (s *Shard) Bytes(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(s.header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), s.data...)
}
