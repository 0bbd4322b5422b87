package nodetls

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// DialOptions are for connections to other nodes: the credentials, and calls that
// say Unauthenticated, and why, where a certificate was not accepted. gRPC by
// itself says Unavailable, as of a node that is away.
func (s *Source) DialOptions() []grpc.DialOption {
	say := refusal
	if s == nil {
		say = hint
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(s.Client()),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return say(call(ctx, method, req, reply, cc, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := open(ctx, desc, cc, method, opts...)
			return stream, say(err)
		}),
	}
}

// refusal finds what a handshake said in the error of a call.
func refusal(err error) error {
	text := cause(err)
	if i := strings.Index(text, notAccepted); i >= 0 {
		return status.Error(codes.Unauthenticated, text[i:])
	}
	return err
}

// hint is for nodes without TLS: one that wants it hangs up at the first word.
func hint(err error) error {
	if text := cause(err); strings.Contains(text, "error reading server preface") {
		return status.Errorf(codes.Unavailable, "%s (where the peer has %s, this node needs it too)", text, flagCA)
	}
	return err
}

// cause is the text of a connection's error, without the quotes that gRPC puts
// around it; "" for other errors.
func cause(err error) string {
	if err == nil || status.Code(err) != codes.Unavailable {
		return ""
	}
	text := status.Convert(err).Message()
	const desc = "desc = "
	if i := strings.LastIndex(text, desc); i >= 0 {
		if quoted, err := strconv.QuotedPrefix(text[i+len(desc):]); err == nil {
			text, _ = strconv.Unquote(quoted)
		}
	}
	return text
}
