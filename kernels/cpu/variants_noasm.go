//go:build noasm || (!amd64 && !arm64)

package cpu

// variants lists what this machine runs, best first.
func variants() []*variant { return []*variant{portable} }
