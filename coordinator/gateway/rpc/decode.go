package rpc

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/coordinator/gateway"
)

// clearDecodeErrors makes a request that can't be decoded (a string that is not
// UTF-8, above all) the client's fault: gRPC itself answers INTERNAL, and for
// unary methods before any interceptor.
func clearDecodeErrors(desc grpc.ServiceDesc) grpc.ServiceDesc {
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		next := desc.Methods[i].Handler
		desc.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			return next(srv, ctx, func(m any) error { return decodeError(decode(m)) }, chain)
		}
	}
	desc.Streams = slices.Clone(desc.Streams)
	for i := range desc.Streams {
		next := desc.Streams[i].Handler
		desc.Streams[i].Handler = func(srv any, stream grpc.ServerStream) error {
			return next(srv, decodingStream{stream})
		}
	}
	return desc
}

type decodingStream struct{ grpc.ServerStream }

func (s decodingStream) RecvMsg(m any) error { return decodeError(s.ServerStream.RecvMsg(m)) }

func decodeError(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok || s.Code() != codes.Internal || !strings.Contains(s.Message(), "unmarshal") {
		return err
	}
	problem := "can't be decoded: " + s.Message()
	if strings.Contains(s.Message(), "UTF-8") {
		problem = "has a string that is not UTF-8: " + s.Message()
	}
	out, _ := toStatus(&gateway.FieldError{Field: "request", Problem: problem}, "")
	return out.Err()
}
