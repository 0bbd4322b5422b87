package shmlink

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sullae/sullae/collective/link"
)

// Supported tells that processes of one host can share memory here.
const Supported = true

// meetTimeout bounds what two processes of one host need to find each other.
const meetTimeout = 2 * time.Second

// seals keep the memory's size as it is: a peer that cut it would end this process.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Offer is an invitation to a peer, which takes it up if it is on this host.
type Offer struct {
	// Name is the abstract Unix socket where the memory is handed over. Such names
	// belong to a network namespace, so who can call has the same host, and is not
	// cut off from it.
	Name string

	lis    *net.UnixListener
	secret []byte
	met    chan meeting // capacity 1
}

// meeting is what came of an offer.
type meeting struct {
	conn   *net.UnixConn
	region []byte
	err    error
}

// NewOffer listens for one peer, which must show secret. Every offer ends with
// Accept or Close.
func NewOffer(secret []byte) (*Offer, error) {
	var id [16]byte
	rand.Read(id[:])
	o := &Offer{Name: "@sullae-" + hex.EncodeToString(id[:]), secret: secret, met: make(chan meeting, 1)}
	var err error
	if o.lis, err = net.ListenUnix("unix", &net.UnixAddr{Name: o.Name, Net: "unix"}); err != nil {
		return nil, err
	}
	o.lis.SetDeadline(time.Now().Add(meetTimeout))
	go func() { o.met <- o.meet() }() // ends with the listener
	return o, nil
}

// meet hands the memory to the first caller who knows the secret.
func (o *Offer) meet() meeting {
	for {
		conn, err := o.lis.AcceptUnix()
		if err != nil {
			return meeting{err: err}
		}
		region, err := o.handOver(conn)
		if err == nil {
			return meeting{conn: conn, region: region}
		}
		conn.Close()
		if !errors.Is(err, errStranger) {
			return meeting{err: err}
		}
	}
}

var errStranger = errors.New("the caller does not know the secret")

func (o *Offer) handOver(conn *net.UnixConn) ([]byte, error) {
	conn.SetDeadline(time.Now().Add(meetTimeout / 4))
	shown := make([]byte, len(o.secret))
	if _, err := io.ReadFull(conn, shown); err != nil || !hmac.Equal(shown, o.secret) {
		return nil, errStranger
	}
	fd, err := unix.MemfdCreate("sullae-link", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	defer unix.Close(fd)
	// All pages now: without room for one, a later write would end the process.
	if err := unix.Fallocate(fd, 0, 0, regionBytes); err != nil {
		return nil, fmt.Errorf("%d bytes of shared memory: %w", regionBytes, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	region, err := unix.Mmap(fd, 0, regionBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); err != nil {
		unix.Munmap(region)
		return nil, err
	}
	return region, nil
}

// Close takes the offer back. It returns why the memory could not be handed over, where
// somebody came for it.
func (o *Offer) Close() error {
	o.lis.Close()
	m := <-o.met
	if m.err == nil {
		m.conn.Close()
		unix.Munmap(m.region)
	}
	if errors.Is(m.err, net.ErrClosed) || errors.Is(m.err, os.ErrDeadlineExceeded) {
		return nil
	}
	return m.err
}

// Accept is the link to the peer that has taken the offer up, over control, which
// the link owns from now on. It waits for the peer's coming, shortly.
func (o *Offer) Accept(control link.Link) (*Link, error) {
	m := <-o.met
	o.lis.Close()
	if m.err != nil {
		return nil, m.err
	}
	out, in := rings(m.region)
	return open(control, m.conn, m.region, in, out), nil
}

// Taken is an offer that this process has taken up.
type Taken struct {
	conn   *net.UnixConn
	region []byte
}

// Take takes a peer's offer up. What it returns ends with Link or Close.
func Take(name string, secret []byte) (*Taken, error) {
	if len(name) < 2 || name[0] != '@' {
		return nil, fmt.Errorf("%q is no offer of shared memory", name)
	}
	c, err := (&net.Dialer{Timeout: meetTimeout / 2}).Dial("unix", name)
	if err != nil {
		return nil, err
	}
	t := &Taken{conn: c.(*net.UnixConn)}
	if err := t.take(secret); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

func (t *Taken) take(secret []byte) error {
	t.conn.SetDeadline(time.Now().Add(meetTimeout / 2))
	if _, err := t.conn.Write(secret); err != nil {
		return err
	}
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := t.conn.ReadMsgUnix(b[:], oob)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return errors.New("no memory came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return errors.New("no memory came")
	}
	fd := fds[0]
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if has, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || has&seals != seals || st.Size != regionBytes {
		return fmt.Errorf("memory of %d bytes with seals %#x, where %d and %#x were due (%v)", st.Size, has, regionBytes, seals, err)
	}
	t.region, err = unix.Mmap(fd, 0, regionBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

// Link is the link over control, which it owns from now on.
func (t *Taken) Link(control link.Link) *Link {
	in, out := rings(t.region)
	return open(control, t.conn, t.region, in, out)
}

// Close gives the offer up.
func (t *Taken) Close() {
	t.conn.Close()
	unix.Munmap(t.region)
}

func open(control link.Link, conn *net.UnixConn, region []byte, in, out *ring) *Link {
	conn.SetDeadline(time.Time{})
	return newLink(control, socket{conn}, in, out, func() { unix.Munmap(region) })
}

// socket is a bell over a Unix domain socket.
type socket struct{ *net.UnixConn }

// Ring implements bell. A socket that is full has the peer's attention already.
func (s socket) Ring() {
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	raw.Write(func(fd uintptr) bool {
		unix.SendmsgN(int(fd), []byte{1}, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
}
