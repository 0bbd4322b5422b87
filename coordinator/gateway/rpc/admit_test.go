package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// TestRefusedByHeader: who is not admitted hears so, with an error like any other,
// while no message has been sent; and what was made up is no label of a metric.
func TestRefusedByHeader(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serveTo(t, func(ctx context.Context, _ string) (context.Context, error) {
		return ctx, fmt.Errorf("%w: not you", gateway.ErrUnauthenticated)
	}, &gatewaytest.Engine{}, func(c *gateway.Config) { c.Registry = reg })
	methods := map[string]string{sullaev1.InferenceService_Tokenize_FullMethodName: sullaev1.InferenceService_Tokenize_FullMethodName, "/made.up/Name": "other", "/sullae.v1.InferenceService/Evil": "other"}
	for method := range methods {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err == nil {
			err = stream.RecvMsg(&emptypb.Empty{})
		}
		cancel()
		var reason, id string
		for _, d := range status.Convert(err).Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				reason = d.GetReason()
			case *errdetails.RequestInfo:
				id = d.GetRequestId()
			}
		}
		if status.Code(err) != codes.Unauthenticated || reason != "INVALID_API_KEY" || id == "" {
			t.Errorf("%s: %v, reason %q, request %q", method, err, reason, id)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "sullae_grpc_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "method" {
					counted[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	if len(counted) != 2 || counted["other"] != 2 || counted[sullaev1.InferenceService_Tokenize_FullMethodName] != 1 {
		t.Errorf("counted: %v", counted)
	}
}
