package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// toolTemplate teaches the format of Hermes.
const toolTemplate = `{%- if tools %}[|system|]{% for tool in tools %}{{ tool.function | tojson }}
{% endfor %}Answer with <tool_call>JSON</tool_call>.[|endofturn|]
{% endif %}{%- for m in messages %}[|{{ m.role }}|]{{ m.content }}
{%- for call in m.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}
{{- "\n" if m.role == "user" else "[|endofturn|]\n" }}{% endfor %}
{%- if add_generation_prompt %}[|assistant|]{% endif %}`

type orderArguments struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

const orderSchema = `{"type":"object","properties":{"item":{"enum":["tea","커피"]},"count":{"type":"integer","minimum":1,"maximum":9}},
	"required":["item","count"],"additionalProperties":false}`

// TestToolCalls: OpenAI's client against processes whose model is random: a forced call
// is one that the schema admits, whole, streamed and over gRPC, and the same on one
// worker and on three.
func TestToolCalls(t *testing.T) {
	long(t)
	dir, _ := e2eModel(t)
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(toolTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	var schema sdk.FunctionParameters
	if err := json.Unmarshal([]byte(orderSchema), &schema); err != nil {
		t.Fatal(err)
	}
	params := sdk.ChatCompletionNewParams{
		Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("커피 두 잔")}, Temperature: sdk.Float(1), Seed: sdk.Int(3),
		MaxCompletionTokens: sdk.Int(120),
		Tools: []sdk.ChatCompletionToolUnionParam{
			sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{Name: "order", Parameters: schema, Strict: sdk.Bool(true)}),
			sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{Name: "cancel"}),
		},
		ToolChoice: sdk.ToolChoiceOptionFunctionToolChoice(sdk.ChatCompletionNamedToolChoiceFunctionParam{Name: "order"}),
	}
	var first string
	for _, workers := range []string{"1", "3"} {
		p := up(t, "--model", dir, "--workers", workers, "--threads", "1")
		c := sdk.NewClient(option.WithBaseURL(p.http+"/v1/"), option.WithAPIKey("none"), option.WithMaxRetries(0))
		got, err := c.Chat.Completions.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		ch := got.Choices[0]
		if len(ch.Message.ToolCalls) != 1 || ch.FinishReason != "tool_calls" || ch.Message.Content != "" {
			t.Fatalf("got %+v", ch)
		}
		call := ch.Message.ToolCalls[0].Function
		checkOrder(t, call.Name, call.Arguments)
		if first == "" {
			first = call.Arguments
		} else if call.Arguments != first {
			t.Errorf("%s workers order %s, one orders %s", workers, call.Arguments, first)
		}

		stream := c.Chat.Completions.NewStreaming(t.Context(), params)
		acc := sdk.ChatCompletionAccumulator{}
		for stream.Next() {
			acc.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil || len(acc.Choices) != 1 || acc.Choices[0].FinishReason != "tool_calls" ||
			acc.Choices[0].Message.ToolCalls[0].Function.Arguments != first {
			t.Errorf("streamed %+v, %v", acc.Choices, err)
		}
		stream.Close()

		next := params
		next.Messages = append(next.Messages, ch.Message.ToParam(), sdk.ToolMessage("ok", ch.Message.ToolCalls[0].ID))
		next.ToolChoice = sdk.ChatCompletionToolChoiceOptionUnionParam{OfAuto: sdk.String("none")}
		if got, err := c.Chat.Completions.New(t.Context(), next); err != nil || len(got.Choices[0].Message.ToolCalls) > 0 {
			t.Errorf("after the call: %+v, %v", got, err)
		}

		g, err := client.Dial(p.grpc)
		if err != nil {
			t.Fatal(err)
		}
		seed, hot, most := uint64(3), float32(1), int32(120)
		answer, err := g.CompleteChat(t.Context(), &sullaev1.ChatRequest{
			Messages: []*sullaev1.Message{{Role: "user", Content: "커피 두 잔"}},
			Tools:    []*sullaev1.Tool{{Name: "order", Parameters: orderSchema, Strict: true}}, ToolChoice: &sullaev1.ToolChoice{Mode: sullaev1.ToolChoice_MODE_REQUIRED, Serial: true},
			Sampling: &sullaev1.Sampling{Seed: &seed, Temperature: &hot}, Stopping: &sullaev1.Stopping{MaxTokens: &most},
		})
		if err != nil {
			t.Fatal(err)
		}
		if calls := answer.Choices[0].ToolCalls; len(calls) != 1 || answer.Choices[0].Finish.GetReason() != sullaev1.FinishReason_FINISH_REASON_TOOL_CALLS {
			t.Errorf("over gRPC: %+v", answer.Choices[0])
		} else {
			checkOrder(t, calls[0].GetName(), calls[0].GetArguments())
		}
		g.Close()
		p.stop(syscall.SIGTERM)
	}
}

func checkOrder(t *testing.T, name, arguments string) {
	t.Helper()
	var o orderArguments
	d := json.NewDecoder(strings.NewReader(arguments))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || name != "order" || o.Item != "tea" && o.Item != "커피" || o.Count < 1 || o.Count > 9 {
		t.Errorf("%s(%s): %v", name, arguments, err)
	}
}
