// Package weights serves a checkpoint's tensors to workers that have no folder
// with it (proto WeightService). It reads through the memory map; nothing is
// copied but the pieces on their way.
package weights

import (
	"context"
	"hash/crc32"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
)

// chunkBytes is the size of a message: large enough that its cost is the bytes'.
const chunkBytes = 512 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkBytes); return &b }}

// Server implements clusterv1.WeightServiceServer over one checkpoint.
type Server struct {
	clusterv1.UnimplementedWeightServiceServer
	ckpt *checkpoint.Checkpoint
}

// NewServer serves c, which must stay open while the server runs.
func NewServer(c *checkpoint.Checkpoint) *Server { return &Server{ckpt: c} }

func (s *Server) check(id string) error {
	if id != s.ckpt.ID() {
		return status.Errorf(codes.NotFound, "this coordinator serves checkpoint %.12s (%s), not %.12s", s.ckpt.ID(), s.ckpt.Name(), id)
	}
	return nil
}

// Describe implements WeightService.
func (s *Server) Describe(_ context.Context, req *clusterv1.DescribeRequest) (*clusterv1.DescribeResponse, error) {
	if err := s.check(req.CheckpointId); err != nil {
		return nil, err
	}
	res := &clusterv1.DescribeResponse{}
	for _, name := range s.ckpt.Names() {
		info, err := s.ckpt.Info(name)
		if err != nil {
			continue // of a type that no kernel takes: the model does not read it
		}
		t := &clusterv1.Tensor{Name: name, Dtype: info.DType.String()}
		if c := info.Coding; c != nil {
			t.Coding = &clusterv1.Coding{Scales: c.Scales.String(), Offsets: c.Offsets, Groups: int64(c.N), GroupSize: int64(c.Size), Index: c.Index}
		}
		for _, d := range info.Shape {
			t.Shape = append(t.Shape, int64(d))
		}
		res.Tensors = append(res.Tensors, t)
	}
	return res, nil
}

// Fetch implements WeightService.
func (s *Server) Fetch(req *clusterv1.FetchRequest, stream clusterv1.WeightService_FetchServer) error {
	if err := s.check(req.CheckpointId); err != nil {
		return err
	}
	info, err := s.ckpt.Info(req.Tensor)
	if err != nil {
		return status.Error(codes.NotFound, err.Error())
	}
	height, width := info.Rows(), info.Columns()
	inside := func(lo, n int64, size int) bool { return lo >= 0 && n > 0 && lo <= int64(size) && n <= int64(size)-lo }
	if !inside(req.Row, req.Rows, height) || !inside(req.Col, req.Cols, width) {
		return status.Errorf(codes.InvalidArgument, "tensor %s is [%d, %d]: rows %d+%d, columns %d+%d are not in it", req.Tensor, height, width, req.Row, req.Rows, req.Col, req.Cols)
	}
	rowBytes := info.RowBytes(int(req.Col), int(req.Cols))
	total := int64(rowBytes) * req.Rows
	if req.Offset < 0 || req.Offset > total {
		return status.Errorf(codes.InvalidArgument, "offset %d in a region of %d bytes", req.Offset, total)
	}

	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	perChunk := max(1, chunkBytes/rowBytes) // whole rows, so that reads are simple
	if perChunk*rowBytes > len(*buf) {
		*buf = make([]byte, perChunk*rowBytes)
	}
	for row := req.Offset / int64(rowBytes); row < req.Rows; {
		n := min(int64(perChunk), req.Rows-row)
		b := (*buf)[:n*int64(rowBytes)]
		if err := s.ckpt.ReadRegion(stream.Context(), b, req.Tensor, int(req.Row+row), int(n), int(req.Col), int(req.Cols)); err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		at := row * int64(rowBytes)
		if at < req.Offset {
			b, at = b[req.Offset-at:], req.Offset
		}
		// Send marshals before it returns, so the buffer is free again.
		if err := stream.Send(&clusterv1.FetchResponse{Offset: at, Data: b, Crc32C: crc32.Checksum(b, castagnoli)}); err != nil {
			return err
		}
		row += n
	}
	return nil
}
