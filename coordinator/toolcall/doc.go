// Package toolcall reads the calls of tools out of the text that a model writes, as it
// comes, and says what a text must be that calls tools.
//
// Models write calls in formats of their own, which their chat templates teach them
// ([Detect]):
//
//	Hermes   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>    Qwen 2.5 and 3, EXAONE 4, Hermes
//	Llama    {"name": "f", "parameters": {...}}, perhaps after <|python_tag|>, several with ; between;
//	         <|python_tag|>f.call(k="v")                                     Llama 3.1, 3.2
//	Mistral  [TOOL_CALLS] [{"name": "f", "arguments": {...}}, ...]; newer models [TOOL_CALLS]f[ARGS]{...}
//
// A [Parser] lets arguments out as they are written, byte for byte, without checking
// them against the tool's schema: that is what [Format.Grammar] is for, which makes a
// model write calls and nothing else. What looks like a call and turns out to be none
// is given back as text. It is pure: no clock, no goroutine.
package toolcall
