//go:build !noasm

package cpu

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// variants lists what this machine runs, best first.
func variants() []*variant {
	list := []*variant{portable}
	if x := &cpu.X86; x.HasAVX2 && x.HasFMA && x.HasF16C {
		list = slices.Insert(list, 0, avx2)
		if x.HasAVXVNNI {
			list = slices.Insert(list, 0, avxvnni)
		}
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512VNNI {
			list = slices.Insert(list, 0, avx512)
		}
	}
	return list
}
