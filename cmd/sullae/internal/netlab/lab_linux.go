package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Lab is a number of hosts on one wire. Host i has the address Addr(i).
type Lab struct {
	hosts []*host
	wire  *wire
}

// host is one network namespace, kept alive by a file descriptor.
type host struct {
	ns  int // file descriptor of the namespace
	tun *tun
}

// subnet is the lab's own: its hosts see no other network, and no other network
// sees them.
var subnet = [4]byte{10, 78, 0, 0}

// New makes n hosts. The error wraps ErrUnavailable where that needs what is not
// there: root, or the TUN device.
func New(n int) (_ *Lab, err error) {
	if n < 1 || n > 250 {
		return nil, fmt.Errorf("netlab: %d hosts: want 1 to 250", n)
	}
	l := &Lab{}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	for i := range n {
		h, err := newHost(hostAddr(i))
		if err != nil {
			return nil, err
		}
		l.hosts = append(l.hosts, h)
	}
	l.wire = newWire(l.hosts)
	return l, nil
}

func hostAddr(i int) [4]byte { return [4]byte{subnet[0], subnet[1], subnet[2], byte(i + 1)} }

// newHost makes a namespace with a loopback interface and one at the wire.
func newHost(addr [4]byte) (*host, error) {
	h := &host{ns: -1}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("%w: %w (root is needed)", ErrUnavailable, err)
		}
		if h.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		if err := bringUp("lo", nil); err != nil {
			return err
		}
		h.tun, err = openTun(addr)
		return err
	})
	if err != nil {
		h.close()
		return nil, fmt.Errorf("netlab: %w", err)
	}
	return h, nil
}

func (h *host) close() {
	if h.tun != nil {
		h.tun.Close()
	}
	if h.ns >= 0 {
		unix.Close(h.ns)
	}
}

// onThread runs f on a thread of its own, which ends with it: whatever namespace
// f entered stays with nobody else.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

func (h *host) enter() error { return unix.Setns(h.ns, unix.CLONE_NEWNET) }

// Addr is the IP address of host i.
func (l *Lab) Addr(i int) string {
	a := hostAddr(i)
	return net.IP(a[:]).String()
}

// Start starts a process on host i; what Wait returns comes over the channel. The
// thread that started it lives as long as it does, so that a death signal of its
// parent means this process.
func (l *Lab) Start(i int, cmd *exec.Cmd) (<-chan error, error) {
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := l.hosts[i].enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// Dial connects from host i.
func (l *Lab) Dial(ctx context.Context, i int, network, addr string) (conn net.Conn, err error) {
	err = onThread(func() error {
		if err := l.hosts[i].enter(); err != nil {
			return err
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// SetLink changes what the wire does from now on.
func (l *Lab) SetLink(link Link) { l.wire.link.Store(&link) }

// Cut takes host i off the wire, or puts it back: nothing comes in or out, and
// nobody is told.
func (l *Lab) Cut(i int, cut bool) { l.wire.cutHost[i].Store(cut) }

// CutPair cuts or mends the way between two hosts alone.
func (l *Lab) CutPair(i, j int, cut bool) {
	l.wire.pair(i, j).Store(cut)
	l.wire.pair(j, i).Store(cut)
}

// Close takes the wire down and waits until it is. Processes that still run keep
// their namespace.
func (l *Lab) Close() {
	var wg sync.WaitGroup
	for _, h := range l.hosts {
		wg.Go(h.close)
	}
	wg.Wait()
	if l.wire != nil {
		l.wire.wg.Wait()
	}
}

// bringUp gives an interface of this thread's namespace its address, if any, and
// switches it on.
func bringUp(name string, addr *[4]byte) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	set := func(op uint, fill func(*unix.Ifreq) error) error {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = fill(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, op, r)
		}
		return err
	}
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	if addr == nil {
		return set(unix.SIOCSIFFLAGS, up)
	}
	return errors.Join(
		set(unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr[:]) }),
		set(unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }),
		set(unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtuBytes); return nil }),
		set(unix.SIOCSIFFLAGS, up))
}
