//go:build linux && amd64 && !nocuda

package cuda

import (
	"testing"

	"github.com/sullae/sullae/kernels"
)

// TestCopier: what ops leave is fetched, and what is put is there for the ops after it,
// while others run on other memory; each waits for what it has to.
func TestCopier(t *testing.T) {
	b := open(t, Config{})
	const n, rounds, lanes = 300, 20, 3
	alloc := func(v float32) kernels.Buffer {
		m, err := b.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Free)
		ones := make([]float32, n)
		for i := range ones {
			ones[i] = v
		}
		if err := b.Upload(m, ones); err != nil {
			t.Fatal(err)
		}
		return m
	}
	type lane struct {
		x, sum    kernels.Buffer
		out, back kernels.HostBuffer
	}
	var list []lane
	for i := range lanes {
		l := lane{x: alloc(float32(i)), sum: alloc(0)}
		for _, h := range []*kernels.HostBuffer{&l.out, &l.back} {
			var err error
			if *h, err = b.NewHostBuffer(n); err != nil {
				t.Fatal(err)
			}
			t.Cleanup((*h).Free)
		}
		list = append(list, l)
	}
	one := alloc(1)
	for range rounds { // x = 2 * (x + 1), the doubling on the host
		for _, l := range list {
			b.Add(l.x, one)
			b.Fetch(l.out, l.x)
		}
		for _, l := range list {
			done := make(chan error, 1)
			go func() {
				err := l.out.Wait()
				for i, v := range l.out.Floats()[:n] {
					l.back.Floats()[i] = v
				}
				done <- err
			}()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			b.Put(l.sum, l.back)
			b.Add(l.x, l.sum)
		}
	}
	for i, l := range list {
		got := make([]float32, n)
		if err := b.Download(got, l.x); err != nil {
			t.Fatal(err)
		}
		want := float32(i)
		for range rounds {
			want = 2 * (want + 1)
		}
		for j, v := range got {
			if v != want {
				t.Fatalf("lane %d, element %d: %v, want %v", i, j, v, want)
			}
		}
	}
}
