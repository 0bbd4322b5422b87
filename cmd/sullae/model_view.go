package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

// view is an inspection for people.
func (r *inspection) view() string {
	var rows [][]screen.Cell
	row := func(name, format string, args ...any) {
		rows = append(rows, []screen.Cell{{Text: name}, {Text: screen.Printable(fmt.Sprintf(format, args...))}})
	}
	row("model", "%s", r.Model)
	row("checkpoint", "%s", r.CheckpointID[:min(12, len(r.CheckpointID))])
	row("architecture", "%s", r.Architecture)
	row("shape", "%s, hidden %d, %d heads and %d KV heads of %d, FFN %d, vocabulary %d", count(r.Layers, "layer"), r.Hidden, r.Heads, r.KVHeads, r.HeadDim, r.FFN, r.Vocab)
	row("context", "%d positions", r.MaxPositions)
	rope := fmt.Sprintf("theta %g over %d of %d elements", r.Rope.Theta, r.Rope.Dim, r.HeadDim)
	if r.Rope.Scaling != nil {
		rope += fmt.Sprintf(", scaled as Llama 3 by %g", *r.Rope.Scaling)
	}
	if r.Rope.Linear > 0 {
		rope += fmt.Sprintf(", scaled by %g", r.Rope.Linear)
	}
	if r.Rope.LongAfter > 0 {
		rope += fmt.Sprintf(", longrope: other factors for more than %d tokens", r.Rope.LongAfter)
	}
	row("rotary", "%s", rope)
	if r.Windows > 0 {
		row("window", "%d positions, in %d of %s", r.Window, r.Windows, count(r.Layers, "layer"))
	}
	row("head", "%s", map[bool]string{true: "tied to the embedding", false: "of its own"}[r.Tied])
	row("parameters", "%s (%s)", short(r.Parameters), grouped(r.Parameters))
	row("stored as", "%s", r.types())
	row("size", "%s in %s", screen.Bytes(r.Bytes), count(len(r.Files), "file"))
	for _, f := range r.Files {
		row("", "%s: %s, %s", f.Name, count(f.Tensors, "tensor"), screen.Bytes(f.Bytes))
	}
	switch t := r.Tokenizer; {
	case t != nil && t.ChatTemplate:
		row("tokenizer", "%d tokens, with a chat template", t.Entries)
	case t != nil:
		row("tokenizer", "%d tokens, without a chat template: no chat", t.Entries)
	case r.Problem != "":
		row("tokenizer", "unusable: %s", r.Problem)
	default:
		row("tokenizer", "none: served for token ids only")
	}
	row("BOS", "%s", tokenList(r.BOS))
	row("EOS", "%s", tokenList(r.EOS))
	row("PAD", "%s", tokenList(r.PAD))
	if len(r.Extra) > 0 {
		row("not read", "%s", strings.Join(r.Extra, ", "))
	}
	return screen.Table(rows) + r.tensorTable()
}

func (r *inspection) tensorTable() string {
	if len(r.Tensors) == 0 {
		return ""
	}
	rows := [][]screen.Cell{{{Text: "tensor"}, {Text: "type"}, {Text: "shape"}, {Text: "size", Right: true}, {Text: "file"}}}
	for _, t := range r.Tensors {
		file := t.File[strings.LastIndexAny(t.File, `/\`)+1:]
		if !t.Used {
			file += " (not read)"
		}
		rows = append(rows, []screen.Cell{{Text: screen.Printable(t.Name)}, {Text: t.DType}, {Text: strings.Trim(fmt.Sprint(t.Shape), "[]")},
			{Text: screen.Bytes(t.Bytes), Right: true}, {Text: screen.Printable(file)}})
	}
	return "\n" + screen.Table(rows)
}

// types is the type of all tensors, or how many have which.
func (r *inspection) types() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.DTypes)) {
		if len(r.DTypes) == 1 {
			return name
		}
		list = append(list, fmt.Sprintf("%s (%s)", name, count(r.DTypes[name], "tensor")))
	}
	return strings.Join(list, ", ")
}

func tokenList(list []inspectedToken) string {
	if len(list) == 0 {
		return "none"
	}
	var parts []string
	for _, t := range list {
		part := fmt.Sprint(t.ID)
		if t.Text != "" {
			part += " " + t.Text
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// short is a number of parameters as people say it: 7.82 B, 2.10 M.
func short(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if n >= u.size {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprint(n)
}

// grouped writes a number with commas.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
