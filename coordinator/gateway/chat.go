package gateway

import (
	"encoding/json"

	"github.com/sullae/sullae/coordinator/toolcall"
)

// Chat is a prompt to be rendered with the model's chat template, ending with
// the assistant's marker.
type Chat struct {
	Messages []Message
	// Tools may be called, as the request's ToolChoice says.
	Tools []Tool
	// Documents is a JSON array for templates that know documents; nil: none.
	Documents json.RawMessage
	// Args is a JSON object of further names for the template, such as
	// enable_thinking; nil: none.
	Args json.RawMessage
}

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
	Name    string // of the participant; "" is none
	// ToolCalls are an assistant's.
	ToolCalls []ToolCall
	// ToolCallID is the call that a tool's message answers.
	ToolCallID string
}

// ToolCall is a call that a model made.
type ToolCall struct {
	ID, Name string
	// Arguments are JSON, as the model wrote it.
	Arguments string
}

// ToolCallPiece is a piece of a call that is being made.
type ToolCallPiece struct {
	// Index is the call's in its choice, from 0.
	Index int
	// ID and Name are set in a call's first piece.
	ID, Name string
	// Arguments goes behind those of the call's pieces before.
	Arguments string
}

// Tool is what a model may call.
type Tool struct {
	toolcall.Tool
	// Definition is the tool as the template sees it: OpenAI's JSON object.
	Definition json.RawMessage
}

// ToolChoice says whether tools are called. The zero value leaves it to the model.
type ToolChoice struct {
	// None hides the tools from the model. Required makes it call one at least.
	None, Required bool
	// Name makes it call this tool, once.
	Name string
	// Serial allows one call at most.
	Serial bool
}

func (t ToolChoice) forced() bool { return t.Required || t.Name != "" }
