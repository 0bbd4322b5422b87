// Package remote reads weights from the coordinator over gRPC: what a worker
// does that has no folder with the checkpoint.
package remote

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
)

// attempts is how often a broken transfer is taken up again, from where it
// broke; the pause between two grows from retryPause.
const (
	attempts   = 5
	retryPause = 200 * time.Millisecond
)

// maxDescribe bounds the list of tensors: a checkpoint whose groups are given by
// an index has a number for each column.
const maxDescribe = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Source implements checkpoint.Source over a WeightService. Each transfer is
// checked by CRC-32C and resumed where it broke.
type Source struct {
	client clusterv1.WeightServiceClient
	id     string
	infos  map[string]checkpoint.Info
}

// Open asks the service for a checkpoint's tensors.
func Open(ctx context.Context, client clusterv1.WeightServiceClient, checkpointID string) (*Source, error) {
	res, err := client.Describe(ctx, &clusterv1.DescribeRequest{CheckpointId: checkpointID}, grpc.MaxCallRecvMsgSize(maxDescribe))
	if err != nil {
		return nil, fmt.Errorf("describe checkpoint %.12s at the coordinator: %w", checkpointID, err)
	}
	s := &Source{client: client, id: checkpointID, infos: map[string]checkpoint.Info{}}
	for _, t := range res.Tensors {
		dt, ok := tensor.ParseDType(t.Dtype)
		if !ok {
			return nil, fmt.Errorf("tensor %s: the coordinator has it as %q, which this worker does not know; run one version everywhere", t.Name, t.Dtype)
		}
		info := checkpoint.Info{Name: t.Name, DType: dt}
		for _, d := range t.Shape {
			info.Shape = append(info.Shape, int(d))
		}
		if err := addCoding(&info, t.Coding); err != nil {
			return nil, fmt.Errorf("tensor %s: the coordinator describes it as %v: %w; run one version everywhere", t.Name, t.Coding, err)
		}
		s.infos[t.Name] = info
	}
	return s, nil
}

// addCoding takes in what the elements mean.
func addCoding(info *checkpoint.Info, c *clusterv1.Coding) error {
	if c == nil && !info.DType.Coded() {
		return nil
	}
	if c == nil || len(info.Shape) == 0 {
		return errors.New("it is not whole")
	}
	scales, _ := tensor.ParseDType(c.Scales)
	info.Coding = &kernels.Coding{Scales: scales, Offsets: c.Offsets, N: int(c.Groups), Size: int(c.GroupSize), Index: c.Index}
	return info.Coding.Check(info.DType, info.Columns())
}

// Info implements checkpoint.Source.
func (s *Source) Info(name string) (checkpoint.Info, error) {
	info, ok := s.infos[name]
	if !ok {
		return info, fmt.Errorf("tensor %s: not in the coordinator's checkpoint %.12s", name, s.id)
	}
	return info, nil
}

// ReadRegion implements checkpoint.Source.
func (s *Source) ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error {
	done := 0
	var err error
	for i := range attempts {
		if i > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(retryPause << (i - 1)):
			}
		}
		if done, err = s.fetch(ctx, dst, done, name, row, rows, col, cols); err == nil {
			return nil
		}
		switch status.Code(err) {
		case codes.InvalidArgument, codes.NotFound, codes.Canceled, codes.DeadlineExceeded, codes.Unimplemented:
			return fmt.Errorf("fetch %s from the coordinator: %w", name, err)
		}
	}
	return fmt.Errorf("fetch %s from the coordinator: %d of %d bytes after %d attempts: %w", name, done, len(dst), attempts, err)
}

var errCorrupt = errors.New("checksum differs: damaged on the way")

// fetch takes a transfer up at byte done and returns how far it came.
func (s *Source) fetch(ctx context.Context, dst []byte, done int, name string, row, rows, col, cols int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.Fetch(ctx, &clusterv1.FetchRequest{
		CheckpointId: s.id, Tensor: name, Row: int64(row), Rows: int64(rows), Col: int64(col), Cols: int64(cols), Offset: int64(done),
	})
	if err != nil {
		return done, err
	}
	return receive(func() (chunk, error) { return stream.Recv() }, &dst, done)
}

// chunk is a part of what was asked for.
type chunk interface {
	GetOffset() int64
	GetData() []byte
	GetCrc32C() uint32
}

// receive takes a transfer up at byte done of dst, which next may make with its
// first chunk where it is nil, and returns how far it came.
func receive(next func() (chunk, error), dst *[]byte, done int) (int, error) {
	for *dst == nil || done < len(*dst) {
		m, err := next()
		if err == io.EOF {
			return done, io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, err
		}
		if int(m.GetOffset()) != done || len(m.GetData()) > len(*dst)-done {
			return done, status.Errorf(codes.InvalidArgument, "got bytes [%d, %d) where [%d, %d) were due", m.GetOffset(), int(m.GetOffset())+len(m.GetData()), done, len(*dst))
		}
		if crc32.Checksum(m.GetData(), castagnoli) != m.GetCrc32C() {
			return done, errCorrupt
		}
		done += copy((*dst)[done:], m.GetData())
	}
	return done, nil
}
