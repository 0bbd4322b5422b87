package gateway

// String is OpenAI's name of a reason: "stop", "length" or "tool_calls".
func (r FinishReason) String() string {
	switch r {
	case FinishStop:
		return "stop"
	case FinishLength:
		return "length"
	case FinishToolCalls:
		return "tool_calls"
	default:
		return "unfinished"
	}
}
