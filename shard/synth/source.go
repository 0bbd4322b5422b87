package synth

import (
	"context"
	"fmt"

	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
)

// Source is the checkpoint that Write would make, its values made when they are
// read: a model to measure that needs no disk.
type Source struct {
	spec   *model.Spec
	pieces map[string]piece
}

var _ checkpoint.Source = (*Source)(nil)

// NewSource checks the options as Write does.
func NewSource(o Options) (*Source, error) {
	_, spec, err := o.config(nil)
	if err != nil {
		return nil, err
	}
	files, _, err := layout(spec, o.Seed, defaultShardBytes)
	if err != nil {
		return nil, fmt.Errorf("synth: %w", err)
	}
	s := &Source{spec: spec, pieces: map[string]piece{}}
	for _, f := range files {
		for _, p := range f.pieces {
			s.pieces[p.name] = p
		}
	}
	return s, nil
}

// Spec is the model.
func (s *Source) Spec() *model.Spec { return s.spec }

// Info implements checkpoint.Source.
func (s *Source) Info(name string) (checkpoint.Info, error) {
	p, ok := s.pieces[name]
	if !ok {
		return checkpoint.Info{}, fmt.Errorf("synth: no tensor %s", name)
	}
	return checkpoint.Info{Name: name, DType: s.spec.DType, Shape: p.shape}, nil
}

// ReadRegion implements checkpoint.Source.
func (s *Source) ReadRegion(_ context.Context, dst []byte, name string, row, rows, col, cols int) error {
	p, ok := s.pieces[name]
	if !ok {
		return fmt.Errorf("synth: no tensor %s", name)
	}
	width := p.shape[len(p.shape)-1]
	size := s.spec.DType.Size()
	if col < 0 || col+cols > width || row < 0 || int64(row+rows)*int64(width*size) > p.bytes || len(dst) != rows*cols*size {
		return fmt.Errorf("synth: tensor %s: no region [%d+%d, %d+%d]", name, row, rows, col, cols)
	}
	if cols == width {
		p.stream.fill(dst, uint64(row)*uint64(width), s.spec.DType)
		return nil
	}
	for r := range rows {
		p.stream.fill(dst[r*cols*size:(r+1)*cols*size], uint64(row+r)*uint64(width)+uint64(col), s.spec.DType)
	}
	return nil
}
