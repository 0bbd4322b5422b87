package main

import (
	"encoding/json"
	"io"
	"os"
)

// streams are a command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func standard() streams { return streams{os.Stdin, os.Stdout, os.Stderr} }

// printJSON prints a value for people and programs alike.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
