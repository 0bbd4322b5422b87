package shmlink

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/link"
	memlink "github.com/sullae/sullae/collective/link/mem"
)

// TestRing passes a stream through a ring from one goroutine to another, in pieces
// of every size up to twice the ring's.
func TestRing(t *testing.T) {
	region := make([]byte, regionBytes)
	out, _ := rings(region)
	in, _ := rings(region)
	const total = 16 << 20
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(1, 1))
		content := rand.NewChaCha8([32]byte{1})
		for sent := 0; sent < total; {
			p := make([]byte, min(total-sent, 1+rng.IntN(1<<rng.IntN(22))))
			content.Read(p)
			for sent += len(p); len(p) > 0; {
				n, err := out.put(p)
				if err != nil {
					t.Error(err)
					return
				}
				p = p[n:]
				out.publish()
			}
		}
	})
	rng := rand.New(rand.NewPCG(2, 2))
	content := rand.NewChaCha8([32]byte{1})
	for read, deadline := 0, time.Now().Add(time.Minute); read < total; {
		p := make([]byte, 1+rng.IntN(1<<rng.IntN(22)))
		n, err := in.get(p)
		if err != nil || time.Now().After(deadline) {
			t.Fatal(read, err)
		}
		want := make([]byte, n)
		content.Read(want)
		if !bytes.Equal(p[:n], want) {
			t.Fatalf("the bytes from %d on differ", read)
		}
		read += n
		in.free()
	}
}

// FuzzPeer has the other process write anything at all into the memory: what comes
// is a frame with the right checksums or an error, and sending ends too.
func FuzzPeer(f *testing.F) {
	region := make([]byte, regionBytes)
	good, _ := rings(region)
	var head [link.HeaderBytes]byte
	h := &link.Header{Kind: link.KindData, Seq: 7}
	payload := link.NewBuffer(1000)
	if err := h.Encode(&head, payload); err != nil {
		f.Fatal(err)
	}
	frame := append(head[:], payload.Bytes()...)
	f.Add(frame, uint64(len(frame)), uint64(0))
	f.Add(frame, uint64(len(frame)-1), uint64(1))
	f.Add(frame, uint64(1)<<63, uint64(1)<<63)
	f.Add(frame[:50], uint64(ringBytes), uint64(ringBytes+1))
	f.Add([]byte("SULC"), uint64(96), uint64(5))
	f.Fuzz(func(t *testing.T, b []byte, written, read uint64) {
		clear(region)
		copy(good.data, b)
		good.shared.written.Store(written)
		theirs, ours := rings(region)
		ours.shared.read.Store(read)
		net := memlink.NewNet(2, memlink.Options{})
		l := newLink(net.Links(0)[1], silent{make(chan struct{})}, theirs, ours, func() {})
		defer l.Close(link.Bye{})
		defer net.Kill(1)
		for {
			got, ok, err := l.TryRecv()
			if !ok {
				if err != nil && !errors.Is(err, link.ErrCorrupt) {
					if _, said := errors.AsType[*link.Bye](err); !said {
						t.Error(err)
					}
				}
				break
			}
			got.Release()
		}
		if err := l.Send(h, payload); err != nil && !errors.Is(err, link.ErrCorrupt) {
			t.Error(err)
		}
	})
}

// silent is a bell that nobody rings.
type silent struct{ closed chan struct{} }

func (silent) Ring() {}

func (s silent) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.EOF
}

func (s silent) Close() error {
	close(s.closed)
	return nil
}
