package checkpoint

import (
	"context"
	"slices"

	"github.com/sullae/sullae/kernels/tensor"
)

// matrix is a tensor as a Source has it, made of one or several that are stored.
// Regions given to read are within it.
type matrix interface {
	info() Info
	read(ctx context.Context, dst []byte, row, rows, col, cols int) error
	// format is how it is stored, for people: "BF16", "Q4_K", "GPTQ 4-bit".
	format() string
	parts() []located
}

// located is a stored tensor and where its bytes are.
type located struct {
	entry
	blob *blob
	off  int64 // of the tensor's first byte in the file
}

// plain is a tensor that is one stored one, as it is.
type plain struct {
	located
	dtype tensor.DType
}

func (p plain) info() Info {
	return Info{Name: p.Name, DType: p.dtype, Shape: slices.Clone(p.Shape)}
}
func (p plain) format() string   { return p.Type }
func (p plain) parts() []located { return []located{p.located} }

func (p plain) read(ctx context.Context, dst []byte, row, rows, col, cols int) error {
	info := p.info()
	return p.copy(ctx, dst, grid(info.RowBytes(0, info.Columns()), info.RowBytes(0, col), info.RowBytes(0, cols), row, rows))
}

// copy reads runs of the tensor's bytes, one after the other. It touches only the
// pages that hold them.
func (at located) copy(ctx context.Context, dst []byte, r runs) error {
	for len(dst) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := r.take(announceBytes)
		for i := range now.count {
			at.blob.willNeed(at.off+now.at(i), now.run)
		}
		for i := range now.count {
			if err := at.blob.read(dst[:now.run], at.off+now.at(i)); err != nil {
				return err
			}
			dst = dst[now.run:]
		}
		if at.blob.mapped && now.count == 1 { // whole rows: nobody else wants these pages
			at.blob.drop(at.off+now.first, now.run)
		}
	}
	return nil
}

// load is copy into a buffer of its own.
func (at located) load(ctx context.Context, r runs) ([]byte, error) {
	dst := make([]byte, r.bytes())
	return dst, at.copy(ctx, dst, r)
}

// grid is bytes [col, col+cols) of rows [row, row+rows) of rowBytes each.
func grid(rowBytes, col, cols, row, rows int) runs {
	r := runs{first: int64(row)*int64(rowBytes) + int64(col), run: int64(cols), stride: int64(rowBytes), count: rows}
	if cols == rowBytes { // whole rows are one run
		r.run, r.count = r.run*int64(rows), 1
	}
	return r
}
