//go:build !noasm

package cpu

import "golang.org/x/sys/cpu"

// variants lists what this machine runs, best first.
func variants() []*variant {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI {
			return []*variant{avx512, avx2, portable}
		}
		return []*variant{avx2, portable}
	}
	return []*variant{portable}
}
