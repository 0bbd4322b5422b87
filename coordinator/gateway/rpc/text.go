package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Tokenize implements InferenceService.
func (s *server) Tokenize(ctx context.Context, req *sullaev1.TokenizeRequest) (*sullaev1.TokenizeResponse, error) {
	r := gateway.TokenizeRequest{Model: req.GetModel(), AddSpecialTokens: req.AddSpecialTokens}
	field := "input"
	switch in := req.GetInput().(type) {
	case *sullaev1.TokenizeRequest_Text:
		r.Input, field = gateway.Text(in.Text), "text"
	case *sullaev1.TokenizeRequest_Chat:
		prompt, err := chat(in.Chat)
		if err != nil {
			return nil, err
		}
		r.Input = prompt
		r.NoGenerationPrompt = in.Chat.AddGenerationPrompt != nil && !*in.Chat.AddGenerationPrompt
	}
	ids, err := s.svc.Tokenize(r)
	if err != nil {
		return nil, rename(rename(err, "prompt", field), "messages", "chat.messages")
	}
	m, err := s.svc.Model(req.GetModel())
	if err != nil {
		return nil, err
	}
	return &sullaev1.TokenizeResponse{TokenIds: ids, MaxModelLen: int32(m.MaxLen)}, setID(ctx)
}

// Detokenize implements InferenceService.
func (s *server) Detokenize(ctx context.Context, req *sullaev1.DetokenizeRequest) (*sullaev1.DetokenizeResponse, error) {
	text, err := s.svc.Detokenize(req.GetModel(), req.GetTokenIds(), req.GetSkipSpecialTokens())
	if err != nil {
		return nil, err
	}
	return &sullaev1.DetokenizeResponse{Text: text}, setID(ctx)
}

// ListModels implements InferenceService.
func (s *server) ListModels(ctx context.Context, _ *sullaev1.ListModelsRequest) (*sullaev1.ListModelsResponse, error) {
	out := &sullaev1.ListModelsResponse{}
	for _, m := range s.svc.Models() {
		out.Models = append(out.Models, &sullaev1.Model{
			Id: m.Name, Architecture: m.Architecture, MaxModelLen: int32(m.MaxLen), VocabSize: int32(m.Vocab),
			HasTokenizer: m.Tokenizer != nil, HasChatTemplate: m.Template != nil, CreatedUnix: m.Created.Unix(),
		})
	}
	return out, setID(ctx)
}

// setID echoes the request's id in the header.
func setID(ctx context.Context) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	return grpc.SetHeader(ctx, metadata.Pairs(gateway.RequestIDHeader, c.id))
}
