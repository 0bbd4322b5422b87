// Package chattemplate renders the chat templates that models are published with,
// as Hugging Face's apply_chat_template does: Jinja with trim_blocks and
// lstrip_blocks, the loop controls, and the additions raise_exception,
// strftime_now, a tojson that keeps order and characters, and {% generation %}.
//
// A template is a stranger's program. It is sandboxed by construction: values are
// numbers, strings, lists and dicts, there is nothing else to reach, and nothing
// changes a value once made. Steps, memory, depth and output are bounded ([Limits]).
// A template cannot read the clock but through strftime_now, which the caller winds.
//
// What is here follows Jinja 3.1 and the Python beneath it, down to how floats and
// lists print. Left out are inheritance and includes (there is no loader), recursive
// loops, and the filters that make web pages; they are errors when a template is
// parsed, not when it is used. Undefined behaves as Jinja's default: it prints as
// nothing, and asking it for an attribute is an error.
//
// It never changes what it is given, and a parsed [Template] is safe for concurrent use.
//
// https://jinja.palletsprojects.com/en/stable/templates/
package chattemplate
