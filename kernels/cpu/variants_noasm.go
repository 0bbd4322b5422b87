//go:build !amd64 || noasm

package cpu

// variants lists what this machine runs, best first.
func variants() []*variant { return []*variant{portable} }
