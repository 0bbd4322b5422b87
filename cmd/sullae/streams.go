package main

import (
	"io"
	"os"
)

// streams are a command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func standard() streams { return streams{os.Stdin, os.Stdout, os.Stderr} }
