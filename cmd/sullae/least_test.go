package main

import (
	"strings"
	"testing"
)

func TestLeast(t *testing.T) {
	for line, want := range map[string]string{
		"up --max-seqs=-1":                 "--max-seqs -1: must be at least 1",
		"up --max-request-bytes=0":         "--max-request-bytes 0: must be at least 1",
		"up --workers 0":                   "--workers 0: must be at least 1",
		"coordinator --lease-ttl 10ms":     "--lease-ttl 10ms: must be at least 1s",
		"coordinator --workers=-1":         "--workers -1: must be at least 0",
		"worker --threads=-2":              "--threads -2: must be at least 0",
		"coordinator --workers 0":          "",
		"up --rebalance 0s --kv-tokens 16": "",
	} {
		p, err := newParser(t.Context(), &cli{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := parse(p, strings.Fields(line)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
