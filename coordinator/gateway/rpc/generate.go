package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Generate implements InferenceService.
func (s *server) Generate(req *sullaev1.GenerateRequest, out grpc.ServerStreamingServer[sullaev1.GenerateResponse]) error {
	r := request(req.GetRequestId(), req.GetModel(), req.GetSampling(), req.GetStopping(), req.GetOutput())
	r.N, r.Resume = toInt(req.N), resume(req.GetResume())
	r.Priority, r.Tenant, r.Structure = int(req.GetPriority()), req.GetUser(), structure(req.GetStructure())
	r.PromptLookup = toInt(req.PromptLookupNumTokens)
	field := "prompt"
	switch p := req.GetPrompt().(type) {
	case *sullaev1.GenerateRequest_Text:
		r.Prompts, field = []gateway.Prompt{gateway.Text(p.Text)}, "text"
	case *sullaev1.GenerateRequest_TokenIds:
		r.Prompts, field = []gateway.Prompt{gateway.TokenIDs(p.TokenIds.GetIds())}, "token_ids.ids"
	}
	err := s.run(out.Context(), r, func(id string, it gateway.Item) error {
		resp := &sullaev1.GenerateResponse{RequestId: id}
		if it.Prompt != nil {
			resp.Event = &sullaev1.GenerateResponse_Prompt{Prompt: promptInfo(it.Prompt, req.GetOutput())}
		} else if it.Delta != nil {
			resp.Event = &sullaev1.GenerateResponse_Delta{Delta: delta(it.Delta)}
		}
		return out.Send(resp)
	}, out.SetHeader)
	return rename(err, "prompt", field)
}

// Chat implements InferenceService.
func (s *server) Chat(req *sullaev1.ChatRequest, out grpc.ServerStreamingServer[sullaev1.ChatResponse]) error {
	r := request(req.GetRequestId(), req.GetModel(), req.GetSampling(), req.GetStopping(), req.GetOutput())
	r.N, r.Resume = toInt(req.N), resume(req.GetResume())
	r.Priority, r.Tenant, r.Structure = int(req.GetPriority()), req.GetUser(), structure(req.GetStructure())
	prompt, err := chat(req)
	if err != nil {
		return err
	}
	r.Prompts, r.ToolChoice = []gateway.Prompt{prompt}, toolChoice(req.GetToolChoice())
	r.PromptLookup = toInt(req.PromptLookupNumTokens)
	return s.run(out.Context(), r, func(id string, it gateway.Item) error {
		resp := &sullaev1.ChatResponse{RequestId: id}
		if it.Prompt != nil {
			resp.Event = &sullaev1.ChatResponse_Prompt{Prompt: promptInfo(it.Prompt, req.GetOutput())}
		} else if it.Delta != nil {
			resp.Event = &sullaev1.ChatResponse_Delta{Delta: delta(it.Delta)}
		}
		return out.Send(resp)
	}, out.SetHeader)
}

// run sends a request's items; an empty one is a heartbeat.
func (s *server) run(ctx context.Context, r gateway.Request,
	send func(id string, it gateway.Item) error, setHeader func(metadata.MD) error) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	if gateway.ValidRequestID(r.ID) {
		c.id = r.ID
	} else if r.ID == "" {
		r.ID = c.id
	}
	st, err := s.svc.Generate(ctx, r)
	if err != nil {
		return err
	}
	defer st.Close()
	h := newHeart(ctx, metadata.Pairs(gateway.RequestIDHeader, st.ID()), setHeader, func() error { return send(st.ID(), gateway.Item{}) })
	defer h.close()
	for {
		it, err := st.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := h.send(func() error { return send(st.ID(), it) }); err != nil {
			return err
		}
	}
}

// rename makes an error name the message's own field.
func rename(err error, from, to string) error {
	if fe, ok := err.(*gateway.FieldError); ok && fe.Field == from {
		fe.Field = to
	}
	return err
}
