//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"math/bits"
	"unsafe"
)

// segment is how many launches are queued before they go to the device: so few that
// it is not idle while they are put together, so many that a graph of them is worth
// its launch.
const segment = 128

// maxArgs is the most parameters that a kernel has.
const maxArgs = 24

// queue is launches that have not gone to the device. Each is, in words: the kernel's
// number and how many parameters it has, the grid's x, y and z, the parameters.
type queue struct {
	words []uint64
	calls int
	hash  uint64
}

const callWords = 4 // before the parameters

// grid is a launch's blocks. The device allows 65535 along y and z.
type grid struct{ x, y, z int }

const maxGridYZ = 65535

// launch queues a kernel, behind the ops that were held back. Values are device
// addresses, integers and float bits.
func (b *Backend) launch(kernel string, g grid, values ...uint64) {
	b.settle()
	if b.err != nil || g.x == 0 || g.y == 0 || g.z == 0 {
		return
	}
	must(b.device.has(kernel), kernel, "not loaded")
	must(g.y <= maxGridYZ && g.z <= maxGridYZ && len(values) <= maxArgs, kernel, "grid %v, %d parameters", g, len(values))
	b.idle = false
	q := &b.queue
	from := len(q.words)
	q.words = append(q.words, uint64(kernelIndex[kernel])<<8|uint64(len(values)), uint64(g.x), uint64(g.y), uint64(g.z))
	q.words = append(q.words, values...)
	for _, w := range q.words[from:] {
		q.hash = bits.RotateLeft64((q.hash^w)*0x9e3779b97f4a7c15, 29)
	}
	if q.calls++; q.calls == segment {
		b.submit()
	}
}

// submit gives what is queued to the device: as one graph where the same was there
// before.
func (b *Backend) submit() {
	q := &b.queue
	if q.calls == 0 {
		return
	}
	if b.err == nil {
		defer b.device.enter()()
		if !b.graphs.launch(b, q) {
			b.note(b.launchAll(q, b.overlap.launches))
		}
		b.idle = false
	}
	q.words, q.calls, q.hash = q.words[:0], 0, 0
}

// params are a launch's parameters. The driver copies them before it returns, so
// one set serves all launches of a backend; it lies on the heap and does not move.
type params struct {
	value     [maxArgs]uint64
	at        [maxArgs]unsafe.Pointer
	config    launchConfig
	attribute launchAttribute
}

// launchAll launches one kernel after the other. Where they may overlap it is not the
// first that does: there may be a copy ahead of it.
func (b *Backend) launchAll(q *queue, overlap bool) error {
	p := b.params
	first := true
	for words := q.words; len(words) > 0; {
		kernel, n := words[0]>>8, int(words[0]&0xff)
		for i, v := range words[callWords : callWords+n] {
			p.value[i] = v
			p.at[i] = unsafe.Pointer(&p.value[i])
		}
		early := overlap && !first
		err := b.launchOne(int(kernel), words[1], words[2], words[3], early)
		if early && refused(err) && b.launchOne(int(kernel), words[1], words[2], words[3], false) == nil {
			b.noOverlap(err)
			overlap, err = false, nil
		}
		if err != nil {
			return err
		}
		first = false
		words = words[callWords+n:]
	}
	return nil
}
