package rpc

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sullae/sullae/coordinator/gateway"
)

// clearDecodeErrors makes a string that is not UTF-8 the client's fault, and
// names it: gRPC itself would answer INTERNAL, without the field, before any of
// our code runs. (Few client libraries let such a string out, but some do.)
func clearDecodeErrors(desc grpc.ServiceDesc) grpc.ServiceDesc {
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		next := desc.Methods[i].Handler
		desc.Methods[i].Handler = func(srv any, ctx context.Context, recv func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			return next(srv, ctx, func(m any) error { return decode(recv, m) }, chain)
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

func (s decodingStream) RecvMsg(m any) error { return decode(s.ServerStream.RecvMsg, m) }

// decode lets gRPC decode into a message without fields, which keeps everything
// as it came, and decodes that.
func decode(recv func(any) error, into any) error {
	var bytes emptypb.Empty
	if err := recv(&bytes); err != nil {
		return err
	}
	m, raw := into.(proto.Message), bytes.ProtoReflect().GetUnknown()
	err := proto.Unmarshal(raw, m)
	if err == nil {
		return nil
	}
	bad := &gateway.FieldError{Field: "request", Problem: fmt.Sprintf("can't be decoded: %v", err)}
	if field, at := brokenString(m.ProtoReflect().Descriptor(), raw); field != "" {
		bad = &gateway.FieldError{Field: field, Problem: fmt.Sprintf("is not UTF-8: broken at byte %d", at)}
	}
	s, _ := toStatus(bad, "")
	return s.Err()
}

// brokenString finds the first string field in an encoded message that is not
// UTF-8, and where it breaks; "" if there is none.
func brokenString(desc protoreflect.MessageDescriptor, raw []byte) (field string, at int) {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return "", 0
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(num, typ, raw); n < 0 {
			return "", 0
		}
		value := raw[:n]
		raw = raw[n:]
		fd := desc.Fields().ByNumber(num)
		if fd == nil || typ != protowire.BytesType {
			continue
		}
		value, _ = protowire.ConsumeBytes(value)
		switch fd.Kind() {
		case protoreflect.StringKind:
			for i, r := range string(value) {
				if _, n := utf8.DecodeRune(value[i:]); r == utf8.RuneError && n == 1 {
					return string(fd.Name()), i
				}
			}
		case protoreflect.MessageKind:
			if inner, at := brokenString(fd.Message(), value); inner != "" {
				return string(fd.Name()) + "." + inner, at
			}
		}
	}
	return "", 0
}
