package toolcall

import "strings"

// Format is how a model writes calls.
type Format uint8

// Formats. None is that of a template that does not take tools; Unknown of one that
// does, and teaches a format that this package does not read.
const (
	None Format = iota
	Unknown
	Hermes
	Llama
	Mistral
)

var formatNames = [...]string{"none", "unknown", "hermes", "llama", "mistral"}

func (f Format) String() string { return formatNames[f] }

const (
	callBegin = "<tool_call>"
	callEnd   = "</tool_call>"
	pythonTag = "<|python_tag|>"
	callsTag  = "[TOOL_CALLS]"
	argsTag   = "[ARGS]"
	idTag     = "[CALL_ID]"
)

// Detect tells the format from the source of a chat template: templates show models
// their own earlier calls, or tell them how to write some.
func Detect(template string) Format {
	switch {
	case !strings.Contains(template, "tools"):
		return None
	case strings.Contains(template, "<function="), strings.Contains(template, "<arg_key>"):
		return Unknown // XML inside <tool_call>: Qwen3-Coder's, GLM's
	case strings.Contains(template, callBegin):
		return Hermes
	case strings.Contains(template, callsTag):
		return Mistral
	case strings.Contains(template, pythonTag), strings.Contains(template, `"parameters": dictionary of argument name`):
		return Llama
	}
	return Unknown
}

// Markers are the texts that may be single tokens of the vocabulary, special ones too,
// and have to be seen in the text all the same.
func (f Format) Markers() []string {
	switch f {
	case Hermes:
		return []string{callBegin, callEnd}
	case Llama:
		return []string{pythonTag}
	case Mistral:
		return []string{callsTag, argsTag, idTag}
	}
	return nil
}

// Readable says whether a Parser finds calls.
func (f Format) Readable() bool { return f > Unknown }
