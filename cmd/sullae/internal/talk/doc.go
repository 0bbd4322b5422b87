// Package talk holds a conversation with a served model: what was said, the
// commands that begin with a slash, and its two forms, in a terminal and from a
// script. It owns the conversation's text; rendering it into a prompt is the
// cluster's.
package talk
