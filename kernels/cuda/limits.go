//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"time"
	"unsafe"
)

// Limits are what a device does at most, measured: 10^9 bytes and operations a second.
type Limits struct {
	Copy float64 // on the device: bytes read and written
	BF16 float64 // operations of the tensor cores on 16-bit numbers, at best
	MMA  float64 // of mma.sync, which reaches some two thirds of it on Hopper
	F32  float64 // operations of fused multiply-adds
	Int8 float64 // operations of mma.sync on int8
	// Host to device and back, through pinned memory.
	In, Out float64
	// A kernel that does nothing, launched alone and as one of a graph, in µs.
	Launch, GraphLaunch float64
}

// probeTime is how long each limit is tried.
const probeTime = 50 * time.Millisecond

// Limits measures. It takes twice the given bytes of the device's memory for the time
// being.
func (b *Backend) Limits(bytes int) (l Limits, err error) {
	x, err := b.alloc(bytes)
	if err != nil {
		return l, err
	}
	defer x.free()
	y, err := b.alloc(bytes)
	if err != nil {
		return l, err
	}
	defer y.free()
	x.clear()
	defer b.device.enter()()
	d := b.device
	l.Copy = b.rate(2*float64(bytes), func(n int) {
		for range n {
			b.note(d.call("cuMemcpyDtoDAsync", d.cuMemcpyDtoDAsync, uintptr(y.at), uintptr(x.at), uintptr(bytes), d.stream))
		}
	})
	blocks := 8 * d.processors
	threads := float64(blocks * 256)
	rounds := func(kernel string, arg uint64) func(int) {
		return func(n int) { b.launch(kernel, grid{blocks, 1, 1}, x.at, uint64(n), arg) }
	}
	l.MMA = b.rate(threads/32*8*2*16*8*16, rounds("probe_mma", 3))
	l.BF16 = l.MMA
	if d.has("probe_wgmma") {
		l.BF16 = max(l.MMA, b.rate(threads/128*8*2*64*128*16, rounds("probe_wgmma", 3)))
	}
	l.F32 = b.rate(threads*16*2, rounds("probe_fma", f32(0.5)))
	l.Int8 = b.rate(threads/32*8*2*16*8*32, rounds("probe_mma_s8", 5))

	host := b.staging.host[:min(len(b.staging.host), bytes)]
	l.In = b.rate(float64(len(host)), func(n int) {
		for range n {
			b.htod(x.at, host)
		}
	})
	l.Out = b.rate(float64(len(host)), func(n int) {
		for range n {
			b.note(d.call("cuMemcpyDtoHAsync", d.cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(&host[0])), uintptr(x.at), uintptr(len(host)), d.stream))
		}
	})

	off := b.graphs.off
	for _, m := range []struct {
		to  *float64
		off error
	}{{&l.Launch, errNoGraphs}, {&l.GraphLaunch, off}} {
		b.graphs.off = m.off
		*m.to = 1e-3 / b.rate(segment, func(n int) {
			for range n * segment {
				b.launch("probe_nothing", grid{1, 1, 1}, x.at)
			}
		})
	}
	b.graphs.off = off
	b.wait()
	return l, b.err
}

// rate is units of 10^9 a second, of work that has so many of them a round.
func (b *Backend) rate(units float64, work func(rounds int)) float64 {
	for n := 1; ; n *= 2 {
		b.wait()
		start := time.Now()
		work(n)
		b.wait()
		took := time.Since(start)
		if b.err != nil || took >= probeTime {
			return units * float64(n) / float64(took)
		}
	}
}

// TimeCopies has copies to the host wait for the ops before them apart, so that the
// result of stop is the time that the copies to and from the host took by themselves.
func (b *Backend) TimeCopies() (stop func() time.Duration) {
	b.timed, b.copied = true, 0
	return func() time.Duration {
		b.timed = false
		return b.copied
	}
}

// timeCopy begins the time of a copy, and returns what ends it.
func (b *Backend) timeCopy() func() {
	if !b.timed {
		return func() {}
	}
	b.wait()
	start := time.Now()
	return func() {
		b.wait()
		b.copied += time.Since(start)
	}
}
