package gateway

// String is OpenAI's name of a reason: "stop" or "length".
func (r FinishReason) String() string {
	switch r {
	case FinishStop:
		return "stop"
	case FinishLength:
		return "length"
	default:
		return "unfinished"
	}
}
