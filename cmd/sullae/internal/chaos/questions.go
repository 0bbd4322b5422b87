package chaos

import (
	"fmt"
	"strings"
	"time"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// question is a request whose answer is known from the undisturbed run.
type question struct {
	name     string
	generate *sullaev1.GenerateRequest // or
	chat     *sullaev1.ChatRequest
	patience time.Duration // 0: askTimeout
}

// questions are n requests that together use what must survive: seeds, several
// choices, log-probabilities, penalties, structured output, long and shared
// prompts.
func questions(n, tokens int) (out []question) {
	ptr := func(v int32) *int32 { return &v }
	for i := range n {
		seed, warm := uint64(i+1), float32(1)
		sampling := &sullaev1.Sampling{Temperature: &warm, Seed: &seed}
		length := &sullaev1.Stopping{MaxTokens: ptr(int32(tokens)), IgnoreEos: true}
		g := &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: fmt.Sprintf("이야기 %d: ", i)}, Sampling: sampling, Stopping: length}
		q := question{name: "plain", generate: g}
		switch i % 8 {
		case 1:
			q.name = "three choices"
			g.N, length.MaxTokens = ptr(3), ptr(int32(tokens/2))
		case 2:
			q.name = "log-probabilities"
			g.Output = &sullaev1.Output{Logprobs: ptr(3)}
		case 3:
			q.name = "penalties"
			repeat, presence := float32(1.2), float32(0.3)
			sampling.RepetitionPenalty, sampling.PresencePenalty = &repeat, &presence
		case 4:
			q.name = "a pattern"
			length.IgnoreEos = false
			g.Structure = &sullaev1.Structure{Kind: &sullaev1.Structure_Regex{Regex: `([a-z]{3,8}[0-9]{2,4}[,;] ){10,40}\.`}}
		case 5:
			q.name = "a long prompt"
			g.Prompt = &sullaev1.GenerateRequest_Text{Text: strings.Repeat("강강술래를 하며 손을 잡고 돈다. ", 25)}
		case 6:
			q.name = "chat, greedy"
			cold := float32(0)
			q.generate, q.chat = nil, &sullaev1.ChatRequest{
				Messages: []*sullaev1.Message{{Role: "user", Content: "대한민국의 수도는 어디인가요?"}},
				Sampling: &sullaev1.Sampling{Temperature: &cold}, Stopping: &sullaev1.Stopping{MaxTokens: ptr(int32(tokens)), IgnoreEos: true},
			}
		case 7:
			q.name = "top-p of a user's own"
			p, k := float32(0.9), int32(40)
			sampling.TopP, sampling.TopK = &p, &k
			g.User, g.Priority = "seven", 1
		}
		out = append(out, q)
	}
	return out
}

// longPrompt is a prompt of so many tokens, each another one.
func longPrompt(i, tokens int) question {
	ids := make([]int32, tokens)
	for j := range ids {
		ids[j] = int32(10 + (i*7919+j*31)%500)
	}
	one := int32(1)
	return question{name: "a long prompt", patience: 20 * time.Minute, generate: &sullaev1.GenerateRequest{
		Prompt:   &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: ids}},
		Stopping: &sullaev1.Stopping{MaxTokens: &one, IgnoreEos: true}}}
}
