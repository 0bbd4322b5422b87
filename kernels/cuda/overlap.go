//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// overlap is whether launches may begin before those ahead of them have ended
// ("programmatic dependent launch", on Hopper): their blocks are there by then, and those
// of products have their first weights. Kernels wait before they touch what launches ahead
// write (device.h, await_earlier).
type overlap struct {
	launches bool // by themselves
	graphs   bool // in graphs too
}

// overlapSwitch is the environment variable that turns it off.
const overlapSwitch = "SULLAE_CUDA_PDL"

// overlapGraphs is the CUDA version from which on a graph can have launches that overlap
// (cuda.h, CUgraphEdgeData).
const overlapGraphs = 12030

// newOverlap is what a device can do, and is let do.
func newOverlap(d *device) (overlap, error) {
	s := os.Getenv(overlapSwitch)
	if s != "" && s != "0" && s != "1" {
		return overlap{}, fmt.Errorf("%s is %q: want 0 or 1", overlapSwitch, s)
	}
	on := s != "0" && d.cc == 90
	return overlap{on, on && d.version >= overlapGraphs}, nil
}

// launchConfig and launchAttribute are CUlaunchConfig and CUlaunchAttribute.
type launchConfig struct {
	grid, block [3]uint32
	shared      uint32
	stream      uintptr
	attributes  unsafe.Pointer
	n           uint32
}

type launchAttribute struct {
	id    uint32
	_     [4]byte
	value [8]uint64
}

// attributeOverlap is CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION.
const attributeOverlap = 6

// launchOne launches a kernel with the parameters that b.params has. early says that
// nothing but kernels was queued since the launch ahead of it.
func (b *Backend) launchOne(kernel int, x, y, z uint64, early bool) error {
	d, p := b.device, b.params
	name := kernelNames[kernel]
	// Code for all devices does not wait.
	if early && d.targets[kernel] == targetHopper {
		c := &p.config
		*c = launchConfig{grid: [3]uint32{uint32(x), uint32(y), uint32(z)}, block: [3]uint32{uint32(kernelThreads[name]), 1, 1},
			shared: uint32(kernelShared[name]), stream: d.stream, attributes: unsafe.Pointer(&p.attribute), n: 1}
		p.attribute = launchAttribute{id: attributeOverlap, value: [8]uint64{1}}
		return d.call("cuLaunchKernelEx", d.cuLaunchKernelEx, uintptr(unsafe.Pointer(c)), d.kernels[kernel], uintptr(unsafe.Pointer(&p.at[0])), 0)
	}
	return d.call("cuLaunchKernel", d.cuLaunchKernel, d.kernels[kernel], uintptr(x), uintptr(y), uintptr(z),
		uintptr(kernelThreads[name]), 1, 1, uintptr(kernelShared[name]), d.stream, uintptr(unsafe.Pointer(&p.at[0])), 0)
}

// refused reports whether a launch failed since the driver does not let it overlap; another
// error is the device's.
func refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == codeInvalidValue || e.Code == codeNotSupported)
}

// noOverlap has launches follow one another from now on.
func (b *Backend) noOverlap(why error) {
	b.overlap = overlap{}
	b.log.Warn("the driver refuses launches that overlap; they follow one another", "err", why)
}
