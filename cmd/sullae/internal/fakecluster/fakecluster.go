// Package fakecluster is a gRPC server that answers as it is told, for tests of
// the commands.
package fakecluster

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Cluster is sullae.v1.InferenceService. Functions that are nil make their calls
// fail as unimplemented.
type Cluster struct {
	sullaev1.UnimplementedInferenceServiceServer
	Models []*sullaev1.Model
	// OnGenerate and OnChat answer by sending deltas.
	OnGenerate func(ctx context.Context, r *sullaev1.GenerateRequest, send func(*sullaev1.Delta) error) error
	OnChat     func(ctx context.Context, r *sullaev1.ChatRequest, send func(*sullaev1.Delta) error) error
	// OnTokenize is a conversation's length in tokens.
	OnTokenize func([]*sullaev1.Message) int

	mu        sync.Mutex
	generated []*sullaev1.GenerateRequest
	chatted   []*sullaev1.ChatRequest
}

// Text is a model that can do everything.
func Text(name string, context int32) *sullaev1.Model {
	return &sullaev1.Model{Id: name, Architecture: "ExaoneForCausalLM", MaxModelLen: context, VocabSize: 1000, HasTokenizer: true, HasChatTemplate: true}
}

// Piece is a delta of choice 0 with a text and its tokens.
func Piece(text string, ids ...int32) *sullaev1.Delta {
	return &sullaev1.Delta{Text: text, TokenIds: ids}
}

// Last ends choice 0.
func Last(reason sullaev1.FinishReason, tokens int32) *sullaev1.Delta {
	return &sullaev1.Delta{Finish: &sullaev1.Finish{Reason: reason, CompletionTokens: tokens}}
}

// Say answers with a text, a character at a time.
func Say(text string, send func(*sullaev1.Delta) error) error {
	for _, r := range text {
		if err := send(Piece(string(r), int32(r))); err != nil {
			return err
		}
	}
	return send(Last(sullaev1.FinishReason_FINISH_REASON_STOP, int32(len([]rune(text)))))
}

// Echo is a cluster whose chat says the roles of the conversation, by their first
// letters, and what it was asked.
func Echo() *Cluster {
	return &Cluster{
		Models:     []*sullaev1.Model{Text("echo", 100)},
		OnTokenize: func(m []*sullaev1.Message) int { return 10 * len(m) },
		OnChat: func(_ context.Context, r *sullaev1.ChatRequest, send func(*sullaev1.Delta) error) error {
			var roles []string
			for _, m := range r.GetMessages() {
				roles = append(roles, m.GetRole()[:1])
			}
			return Say(strings.Join(roles, "")+": "+r.GetMessages()[len(r.GetMessages())-1].GetContent(), send)
		},
	}
}

// Start serves on a free loopback port until the test ends.
func (c *Cluster) Start(t testing.TB) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	sullaev1.RegisterInferenceServiceServer(s, c)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// Generated lists the Generate requests so far.
func (c *Cluster) Generated() []*sullaev1.GenerateRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*sullaev1.GenerateRequest(nil), c.generated...)
}

// Chatted lists the Chat requests so far.
func (c *Cluster) Chatted() []*sullaev1.ChatRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*sullaev1.ChatRequest(nil), c.chatted...)
}

// ListModels implements InferenceService.
func (c *Cluster) ListModels(context.Context, *sullaev1.ListModelsRequest) (*sullaev1.ListModelsResponse, error) {
	return &sullaev1.ListModelsResponse{Models: c.Models}, nil
}

// Tokenize implements InferenceService.
func (c *Cluster) Tokenize(ctx context.Context, r *sullaev1.TokenizeRequest) (*sullaev1.TokenizeResponse, error) {
	if c.OnTokenize == nil {
		return c.UnimplementedInferenceServiceServer.Tokenize(ctx, r)
	}
	return &sullaev1.TokenizeResponse{TokenIds: make([]int32, c.OnTokenize(r.GetChat().GetMessages()))}, nil
}

// Generate implements InferenceService.
func (c *Cluster) Generate(r *sullaev1.GenerateRequest, s grpc.ServerStreamingServer[sullaev1.GenerateResponse]) error {
	if c.OnGenerate == nil {
		return c.UnimplementedInferenceServiceServer.Generate(r, s)
	}
	c.mu.Lock()
	c.generated = append(c.generated, r)
	c.mu.Unlock()
	first := true
	return c.OnGenerate(s.Context(), r, func(d *sullaev1.Delta) error {
		if first {
			first = false
			p := &sullaev1.GenerateResponse_Prompt{Prompt: &sullaev1.PromptInfo{PromptTokens: 7, Seed: 42}}
			if err := s.Send(&sullaev1.GenerateResponse{RequestId: "req-1", Event: p}); err != nil {
				return err
			}
		}
		return s.Send(&sullaev1.GenerateResponse{RequestId: "req-1", Event: &sullaev1.GenerateResponse_Delta{Delta: d}})
	})
}

// Chat implements InferenceService.
func (c *Cluster) Chat(r *sullaev1.ChatRequest, s grpc.ServerStreamingServer[sullaev1.ChatResponse]) error {
	if c.OnChat == nil {
		return c.UnimplementedInferenceServiceServer.Chat(r, s)
	}
	c.mu.Lock()
	c.chatted = append(c.chatted, r)
	c.mu.Unlock()
	return c.OnChat(s.Context(), r, func(d *sullaev1.Delta) error {
		return s.Send(&sullaev1.ChatResponse{RequestId: "req-1", Event: &sullaev1.ChatResponse_Delta{Delta: d}})
	})
}
