package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/model"
)

func isGGUF(file string) bool { return strings.EqualFold(filepath.Ext(file), ".gguf") }

// splitName is a file of a model in several: "model-00002-of-00003.gguf".
var splitName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// ggufFile is the GGUF file of a folder without safetensors, the first of a split
// model's; "" if there is none.
func (c *Checkpoint) ggufFile() (string, error) {
	files, _ := fs.Glob(c.fsys, "*.gguf")
	if safe, _ := fs.Glob(c.fsys, "*.safetensors*"); len(safe) > 0 || len(files) == 0 {
		return "", nil
	}
	first := splitName.FindStringSubmatch(files[0])
	for i, f := range files[1:] {
		if m := splitName.FindStringSubmatch(f); first == nil || m == nil || m[1] != first[1] || m[3] != first[3] || m[2] != fmt.Sprintf("%05d", i+2) {
			return "", fmt.Errorf("%s: there are %s and %s; give one of the files", c.name, files[0], f)
		}
	}
	return files[0], nil
}

// openGGUF opens a GGUF file of c.fsys, whose name is shown behind dir, and the
// others of a split model. What its metadata says becomes the files that a folder
// would have.
func (c *Checkpoint) openGGUF(file, dir string) error {
	names := []string{file}
	if m := splitName.FindStringSubmatch(file); m != nil {
		n, _ := strconv.Atoi(m[3])
		if m[2] != "00001" || n < 1 {
			return fmt.Errorf("%s: this is part %s of %s; give the first", filepath.Join(dir, file), m[2], m[3])
		}
		for i := 2; i <= n; i++ {
			names = append(names, fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i, m[3]))
		}
	}
	var head *gguf.File
	blobs := map[string]*blob{} // by tensor
	h := newIdentity(nil)
	for _, name := range names {
		f, b, err := c.addGGUF(name, filepath.Join(dir, name), h)
		if err != nil {
			return err
		}
		if head == nil {
			head = f
		} else {
			head.Tensors = append(head.Tensors, f.Tensors...)
		}
		for _, t := range f.Tensors {
			if other := blobs[t.Name]; other != nil {
				return fmt.Errorf("%s: tensor %.100q is in %s too", b.name, t.Name, other.name)
			}
			blobs[t.Name] = b
			c.data[t.Name] = located{entry{Name: t.Name, Type: t.Type.String(), Shape: t.Dims, End: t.Bytes}, b, t.Offset}
		}
	}
	if n, ok := head.Meta.Uint("split.count"); ok && n > 1 && int(n) != len(names) {
		return fmt.Errorf("%s: split.count: %d files belong together; give the first, named ...-00001-of-%05d.gguf, with the others beside it", c.blobs[0].name, n, n)
	}
	if err := c.readMetadata(head); err != nil {
		return fmt.Errorf("%s: %w", c.blobs[0].name, err)
	}
	var err error
	if c.spec, err = model.Parse(c.config, nil, c.blobs[0].name); err != nil {
		return fmt.Errorf("what the metadata says as a config.json: %w", err)
	}
	published, err := head.Published()
	if err != nil {
		return fmt.Errorf("%s: %w", c.blobs[0].name, err)
	}
	return c.finish(h, func(want model.Stored) (matrix, error) {
		p, ok := published[want.Name]
		if !ok {
			return nil, c.missing(want.Name)
		}
		return newBlocks(c.data[p.Tensor.Name], want.Name, p)
	})
}

// addGGUF maps one file and reads its header.
func (c *Checkpoint) addGGUF(file, shown string, h *identity) (*gguf.File, *blob, error) {
	b, err := openBlob(c.fsys, file, shown)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && len(c.blobs) > 0 {
			err = fmt.Errorf("%w; %s is one of several parts: the download is not complete", err, c.blobs[0].name)
		}
		return nil, nil, err
	}
	c.blobs = append(c.blobs, b)
	f, err := gguf.Parse(b, b.size)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", b.name, err)
	}
	header := make([]byte, f.HeaderBytes)
	if err := b.read(header, 0); err != nil {
		return nil, nil, err
	}
	h.header(header, b.size)
	return f, b, nil
}

// readMetadata makes config.json and the tokenizer's files.
func (c *Checkpoint) readMetadata(f *gguf.File) error {
	var err error
	c.config, err = f.Config(func(t gguf.Tensor) ([]float32, error) {
		c.parts[t.Name] = true // of the config
		raw := make([]byte, t.Bytes)
		if err := c.data[t.Name].blob.read(raw, t.Offset); err != nil {
			return nil, err
		}
		values := make([]float32, t.Bytes/4)
		tensor.Widen(values, raw, tensor.F32)
		return values, nil
	})
	if err != nil {
		return err
	}
	files := memoryFS{}
	for name, read := range map[string]func() ([]byte, error){
		"config.json":           func() ([]byte, error) { return c.config, nil },
		"tokenizer.json":        f.TokenizerJSON,
		"tokenizer_config.json": f.TokenizerConfig,
	} {
		data, err := read()
		if err != nil {
			return err
		}
		if data != nil {
			files[name] = data
		}
	}
	c.text = files
	return nil
}

// blocks is a tensor of a GGUF file.
type blocks struct {
	located
	name   string // in the model
	typ    *gguf.Block
	dtype  tensor.DType
	coding *kernels.Coding // nil for plain values
	p      gguf.Published
}

func newBlocks(at located, name string, p gguf.Published) (matrix, error) {
	fail := func(format string, args ...any) (matrix, error) {
		return nil, fmt.Errorf("%s: tensor %.100q: %s", at.blob.name, at.Name, fmt.Sprintf(format, args...))
	}
	b, err := p.Tensor.Type.Block()
	if err != nil {
		return fail("%v", err)
	}
	if len(at.Shape) != 1 && len(at.Shape) != 2 {
		return fail("%d dimensions, where one or two are supported", len(at.Shape))
	}
	if p.MinusOne && p.Tensor.Type != gguf.F32 {
		return fail("type %s, where a norm of this architecture is F32", b.Name)
	}
	m := blocks{located: at, name: name, typ: b, dtype: b.Plain, p: p}
	if b.Plain == tensor.Invalid {
		m.dtype = b.Code
		m.coding = kernels.Runs(b.Scale, b.Offsets, at.Shape[len(at.Shape)-1], b.Group)
	}
	return m, nil
}

func (m blocks) info() Info {
	return Info{Name: m.name, DType: m.dtype, Shape: slices.Clone(m.Shape), Coding: m.coding}
}
func (m blocks) format() string   { return m.typ.Name }
func (m blocks) parts() []located { return []located{m.located} }

// stored is the row of the file that holds a row of the model's tensor.
func (m blocks) stored(row int) int {
	if m.p.PairedHeads == 0 {
		return row
	}
	half := m.Shape[0] / m.p.PairedHeads / 2
	head, in := row/(2*half), row%(2*half)
	return head*2*half + 2*(in%half) + in/half
}

func (m blocks) read(ctx context.Context, dst []byte, row, rows, col, cols int) error {
	if len(m.Shape) == 1 && m.p.PairedHeads > 0 { // a bias: its values are what would be rows
		size := m.dtype.Size()
		for i := range cols {
			if err := m.copy(ctx, dst[i*size:(i+1)*size], runs{first: int64(m.stored(col+i) * size), run: int64(size), count: 1}); err != nil {
				return err
			}
		}
		return nil
	}
	if m.p.PairedHeads > 0 && rows > 1 {
		size := len(dst) / rows
		for i := range rows {
			if err := m.read(ctx, dst[i*size:(i+1)*size], row+i, 1, col, cols); err != nil {
				return err
			}
		}
		return nil
	}
	if rows > 0 {
		row = m.stored(row)
	}
	width := m.Shape[len(m.Shape)-1]
	rowBytes := width / m.typ.Values * m.typ.Bytes
	lo, hi := col/m.typ.Values, (col+cols+m.typ.Values-1)/m.typ.Values // blocks
	r := grid(rowBytes, lo*m.typ.Bytes, (hi-lo)*m.typ.Bytes, row, rows)
	if m.coding == nil {
		if err := m.copy(ctx, dst, r); err != nil {
			return err
		}
		if m.p.MinusOne {
			for b := dst; len(b) > 0; b = b[4:] {
				v := math.Float32frombits(binary.LittleEndian.Uint32(b))
				binary.LittleEndian.PutUint32(b, math.Float32bits(v-1))
			}
		}
		return nil
	}
	raw, err := m.load(ctx, r)
	if err != nil {
		return err
	}
	m.decode(dst, raw, rows, col-lo*m.typ.Values, col, cols)
	return nil
}

// decode makes records of rows of blocks; the first column is value skip of the
// first block.
func (m blocks) decode(dst, raw []byte, rows, skip, col, cols int) {
	coding, first := m.coding.Columns(col, cols)
	size := m.dtype.Bytes(cols) + coding.TailBytes()
	if rows == 0 || size == 0 {
		return
	}
	perRow := len(raw) / rows / m.typ.Bytes
	groups := m.typ.Values / m.typ.Group
	codes := make([]byte, perRow*m.typ.Values)
	scales, offsets := make([]float32, perRow*groups), make([]float32, perRow*groups)
	before := first - (col-skip)/m.typ.Group // groups of the first block that are left out
	for i := range rows {
		for j := range perRow {
			m.typ.Decode(raw[(i*perRow+j)*m.typ.Bytes:][:m.typ.Bytes], codes[j*m.typ.Values:], scales[j*groups:], offsets[j*groups:])
		}
		coding.Record(dst[i*size:(i+1)*size], m.dtype, codes[skip:skip+cols], scales[before:], offsets[before:])
	}
}
