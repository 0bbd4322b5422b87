package netlab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// tun is a host's interface, from the wire's side: whole IP packets are read from
// and written to it.
type tun struct{ *os.File }

func openTun(addr [4]byte) (*tun, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: /dev/net/tun: %w", ErrUnavailable, err)
	}
	r, err := unix.NewIfreq("wire0")
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err == nil {
		err = bringUp("wire0", &addr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tun interface: %w", err)
	}
	return &tun{os.NewFile(uintptr(fd), "wire0")}, nil
}

// wire carries packets between hosts, by the last byte of their address.
type wire struct {
	link    atomic.Pointer[Link]
	cutHost []atomic.Bool
	cutPair []atomic.Bool // [from*hosts+to]
	wg      sync.WaitGroup
}

// packet is one IP packet, due at the other end at a time (ns, monotonic).
type packet struct {
	from int
	data []byte
	due  int64
}

func newWire(hosts []*host) *wire {
	n := len(hosts)
	w := &wire{cutHost: make([]atomic.Bool, n), cutPair: make([]atomic.Bool, n*n)}
	w.link.Store(&Link{})
	queues := make([]chan packet, n)
	for i := range queues {
		queues[i] = make(chan packet, queuePackets)
	}
	var readers sync.WaitGroup
	for i, h := range hosts {
		readers.Add(1)
		w.wg.Go(func() { defer readers.Done(); w.read(i, h.tun, queues) })
		w.wg.Go(func() { w.deliver(i, h.tun, queues[i]) })
	}
	w.wg.Go(func() {
		readers.Wait()
		for _, q := range queues {
			close(q)
		}
	})
	return w
}

func (w *wire) pair(from, to int) *atomic.Bool { return &w.cutPair[from*len(w.cutHost)+to] }

func (w *wire) cut(from, to int) bool {
	return w.cutHost[from].Load() || w.cutHost[to].Load() || w.pair(from, to).Load()
}

var packets = sync.Pool{New: func() any { b := make([]byte, mtuBytes); return &b }}

// read takes what host i sends and puts it into the receivers' queues, until the
// interface closes.
func (w *wire) read(i int, t *tun, queues []chan packet) {
	var free int64 // when what was sent before has left the host
	for {
		b := *packets.Get().(*[]byte)
		n, err := t.Read(b)
		if err != nil {
			return
		}
		to, ok := destination(b[:n])
		link := w.link.Load()
		if !ok || to >= len(queues) || to == i || w.cut(i, to) || link.Loss > 0 && rand.Float64() < link.Loss {
			packets.Put(&b)
			continue
		}
		free = max(free, now())
		if link.BitsPerSecond > 0 {
			free += int64(float64(8*n) / link.BitsPerSecond * 1e9)
		}
		select {
		case queues[to] <- packet{i, b[:n], free + int64(link.Delay)}:
		default:
			packets.Put(&b)
		}
	}
}

// destination is the index of the host that a packet is for.
func destination(b []byte) (to int, ok bool) {
	if len(b) < 20 || b[0]>>4 != 4 || [3]byte(b[16:19]) != [3]byte(subnet[:3]) || b[19] == 0 {
		return 0, false
	}
	return int(b[19]) - 1, true
}

// deliver hands packets to a host when they are due. Go's timers tick too coarsely
// for a wire, so it sleeps by itself, on a thread of its own.
func (w *wire) deliver(i int, t *tun, queue <-chan packet) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for p := range queue {
		if p.due-now() > int64(20*time.Microsecond) {
			until := unix.NsecToTimespec(p.due)
			unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil)
		}
		if !w.cut(p.from, i) {
			t.Write(p.data) // a host that is gone takes nothing
		}
		b := p.data[:mtuBytes]
		packets.Put(&b)
	}
}

func now() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
