package shmlink

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sullae/sullae/collective/link"
	memlink "github.com/sullae/sullae/collective/link/mem"
)

var secret = []byte("a secret of the two")

// pair is a link between two ends of this process, and what ends it as a peer's death
// would.
func pair(t *testing.T) (a, b *Link, kill func()) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	n := memlink.NewNet(2, memlink.Options{})
	offer, err := NewOffer(secret)
	if err != nil {
		t.Fatal(err)
	}
	// A stranger who found the name comes first.
	stranger, err := net.Dial("unix", offer.Name)
	if err != nil {
		t.Fatal(err)
	}
	stranger.Write([]byte("not the secret, you"))
	defer stranger.Close()
	got, err := Take(offer.Name, secret)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = offer.Accept(n.Links(0)[1]); err != nil {
		t.Fatal(err)
	}
	b = got.Link(n.Links(1)[0])
	t.Cleanup(func() {
		a.Close(link.Bye{})
		b.Close(link.Bye{})
		goleak.VerifyNone(t, leaks)
	})
	return a, b, func() { n.Kill(1) }
}

// TestFrames sends frames of every size both ways at once, many larger than the ring,
// to receivers that sleep, and that are late.
func TestFrames(t *testing.T) {
	a, b, _ := pair(t)
	sizes := []int{0, 1, 4000, 100_000, ringBytes, link.MaxPayloadBytes}
	var wg sync.WaitGroup
	for i, ends := range [][2]*Link{{a, b}, {b, a}} {
		wg.Go(func() {
			content := rand.NewChaCha8([32]byte{byte(i)})
			for seq := range uint64(60) {
				p := link.NewBuffer(sizes[seq%6])
				content.Read(p.Bytes())
				if err := ends[0].Send(&link.Header{Kind: link.KindData, Seq: seq}, p); err != nil {
					t.Error(err)
				}
				p.Release()
			}
		})
		wg.Go(func() {
			content := rand.NewChaCha8([32]byte{byte(i)})
			for seq := range uint64(60) {
				if seq%20 == 10 {
					time.Sleep(10 * time.Millisecond)
				}
				f, err := ends[1].Recv()
				if err != nil {
					t.Error(err)
					return
				}
				want := make([]byte, sizes[seq%6])
				content.Read(want)
				if f.Seq != seq || f.PayloadBytes() != len(want) || !bytes.Equal(bytes.Join(f.Pieces, nil), want) {
					t.Errorf("frame %d of %d bytes where %d of %d was due", f.Seq, f.PayloadBytes(), seq, len(want))
				}
				f.Release()
			}
		})
	}
	wg.Wait()
}

// TestFull: a sender whose peer does not read waits until the link ends, by either
// side; and a receiver that sleeps hears of that too.
func TestFull(t *testing.T) {
	for name, end := range map[string]func(a *Link, kill func()){
		"close": func(a *Link, _ func()) { a.Close(link.Bye{Failed: true}) },
		"death": func(_ *Link, kill func()) { kill() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, kill := pair(t)
			done := make(chan error, 2)
			go func() {
				p := link.NewBuffer(link.MaxPayloadBytes)
				defer p.Release()
				for {
					if err := a.Send(&link.Header{Kind: link.KindData}, p); err != nil {
						done <- err
						return
					}
				}
			}()
			go func() {
				_, err := a.Recv()
				done <- err
			}()
			time.Sleep(20 * time.Millisecond)
			end(a, kill)
			for range 2 {
				select {
				case err := <-done:
					if err == nil {
						t.Error("no error")
					}
				case <-time.After(5 * time.Second):
					t.Fatal("it hangs")
				}
			}
			b.Close(link.Bye{})
		})
	}
}

// TestArm: a receiver hears of every frame while it is armed, however many came before,
// and of none afterwards.
func TestArm(t *testing.T) {
	a, b, _ := pair(t)
	rings := func(within time.Duration) bool {
		select {
		case <-b.rung:
			return true
		case <-time.After(within):
			return false
		}
	}
	b.Arm(true)
	for seq := range uint64(3) {
		if err := a.Send(&link.Header{Kind: link.KindData, Seq: seq}, nil); err != nil {
			t.Fatal(err)
		}
		if !rings(5 * time.Second) {
			t.Fatalf("frame %d came unheard", seq)
		}
	}
	b.Arm(false)
	if err := a.Send(&link.Header{Kind: link.KindData, Seq: 3}, nil); err != nil {
		t.Fatal(err)
	}
	if rings(20 * time.Millisecond) {
		t.Error("a frame disturbs who does not wait")
	}
	for seq := range uint64(4) {
		if f, ok, err := b.TryRecv(); !ok || f.Seq != seq {
			t.Fatal(f.Seq, ok, err)
		}
	}
}

// TestGoodbye: what was sent before the goodbye arrives before it.
func TestGoodbye(t *testing.T) {
	a, b, _ := pair(t)
	if err := a.Send(&link.Header{Kind: link.KindData, Seq: 1}, nil); err != nil {
		t.Fatal(err)
	}
	a.Close(link.Bye{Reason: "the end"})
	if f, err := b.Recv(); err != nil || f.Seq != 1 {
		t.Fatal(f.Seq, err)
	}
	if _, err := b.Recv(); err == nil || !strings.Contains(err.Error(), "it left: the end") {
		t.Fatal(err)
	}
	if err := a.Send(&link.Header{Kind: link.KindData}, nil); !errors.Is(err, errDown) {
		t.Error(err)
	}
	if _, _, err := a.TryRecv(); !errors.Is(err, errDown) {
		t.Error(err)
	}
	a.Arm(true)
}

// TestPastMemory: a frame that takes the other way is no frame.
func TestPastMemory(t *testing.T) {
	a, b, _ := pair(t)
	if err := a.control.Send(&link.Header{Kind: link.KindData}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Recv(); !errors.Is(err, link.ErrCorrupt) {
		t.Error(err)
	}
}

// TestOffers: what is no offer, or none any more, or comes with memory that its maker
// could cut, is refused.
func TestOffers(t *testing.T) {
	offer, err := NewOffer(secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Take(offer.Name, []byte("another secret, yes")); err == nil {
		t.Error("taken without the secret")
	}
	if err := offer.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "@", "/tmp/x", offer.Name, "@" + strings.Repeat("x", 300)} {
		if _, err := Take(name, secret); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for name, size := range map[string]int64{"@sullae-test-cut": 4096, "@sullae-test-open": regionBytes} {
		lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := lis.AcceptUnix()
			if err != nil {
				return
			}
			defer c.Close()
			fd, _ := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			defer unix.Close(fd)
			unix.Ftruncate(fd, size)
			if size != regionBytes {
				unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
			}
			c.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
			c.Read(make([]byte, 64))
		}()
		if _, err := Take(name, secret); err == nil || !strings.Contains(err.Error(), "were due") {
			t.Errorf("%s: %v", name, err)
		}
		lis.Close()
	}
}
