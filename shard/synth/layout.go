package synth

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// piece is one tensor to be written.
type piece struct {
	name   string
	shape  []int
	stream stream
	off    int64 // of its first byte in the file
	bytes  int64
}

// weightFile is one safetensors file to be written.
type weightFile struct {
	name   string
	header []byte // the length and the JSON
	pieces []piece
	size   int64
}

// layout deals a model's tensors to files, in order, of at most shardBytes
// tensor bytes each. index is nil for a single file.
func layout(s *model.Spec, seed uint64, shardBytes int64) (files []weightFile, index []byte, err error) {
	roles := map[string]model.Role{}
	for _, w := range s.Weights() {
		if _, ok := roles[w.Ref.Name]; !ok {
			roles[w.Ref.Name] = w.Role
		}
	}
	var total, inFile int64
	for _, t := range s.Stored() {
		p := piece{name: t.Name, shape: t.Shape, bytes: int64(s.DType.Size())}
		p.stream = newStream(seed, t.Name, roles[t.Name], s)
		for _, d := range t.Shape {
			p.bytes *= int64(d)
		}
		if len(files) == 0 || inFile+p.bytes > shardBytes && inFile > 0 {
			files, inFile = append(files, weightFile{}), 0
		}
		f := &files[len(files)-1]
		f.pieces = append(f.pieces, p)
		inFile += p.bytes
		total += p.bytes
	}
	weightMap := map[string]string{}
	for i := range files {
		f := &files[i]
		f.name = "model.safetensors"
		if len(files) > 1 {
			f.name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(files))
		}
		f.place(s.DType)
		for _, p := range f.pieces {
			weightMap[p.name] = f.name
		}
	}
	if len(files) > 1 {
		index, err = json.MarshalIndent(map[string]any{
			"metadata":   map[string]int64{"total_size": total},
			"weight_map": weightMap,
		}, "", "  ")
	}
	return files, index, err
}

// place writes the header and gives each tensor its offset. The header is
// padded with spaces to a multiple of 8, as the format asks, so that tensors
// of 4-byte values lie on their alignment.
func (f *weightFile) place(d tensor.DType) {
	var b strings.Builder
	b.WriteString(`{"__metadata__":{"format":"pt"}`)
	var at int64
	for i := range f.pieces {
		p := &f.pieces[i]
		dims := make([]string, len(p.shape))
		for j, n := range p.shape {
			dims[j] = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, `,%q:{"dtype":%q,"shape":[%s],"data_offsets":[%d,%d]}`,
			p.name, d.String(), strings.Join(dims, ","), at, at+p.bytes)
		p.off = at
		at += p.bytes
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	f.header = binary.LittleEndian.AppendUint64(nil, uint64(b.Len()))
	f.header = append(f.header, b.String()...)
	for i := range f.pieces {
		f.pieces[i].off += int64(len(f.header))
	}
	f.size = int64(len(f.header)) + at
}
