package gateway

// String is OpenAI's name of a reason: "stop", "length", "tool_calls" or
// "content_filter".
func (r FinishReason) String() string {
	switch r {
	case FinishStop:
		return "stop"
	case FinishLength:
		return "length"
	case FinishToolCalls:
		return "tool_calls"
	case FinishFilter:
		return "content_filter"
	default:
		return "unfinished"
	}
}
