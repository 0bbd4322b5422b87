package block

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func check(t *testing.T, p *Pool) {
	t.Helper()
	if err := p.CheckIntegrity(); err != nil {
		t.Fatal(err)
	}
}

// TestOrder: empty blocks by number, then cached ones, the least recently used
// first; within a sequence the last block first.
func TestOrder(t *testing.T) {
	p := NewPool(6, 4)
	a, _ := p.Take(3)
	b, _ := p.Take(2)
	if fmt.Sprint(a, b) != "[0 1 2] [3 4]" {
		t.Fatal(a, b)
	}
	h := Root
	for i, blk := range slices.Concat(a, b[:1]) {
		h = h.Next([]int32{int32(i)})
		p.Publish(blk, h)
	}
	p.Return(b)
	p.Return(a)
	if used, cached, empty := p.Counts(); used != 0 || cached != 4 || empty != 2 {
		t.Fatal(used, cached, empty)
	}
	// Found again, block 0 is used and no longer to be had.
	first := Root.Next([]int32{0})
	hit, ok := p.Lookup(first)
	if !ok || hit != 0 {
		t.Fatal(hit, ok)
	}
	if _, ok := p.Acquire([]int32{0}, 6); ok {
		t.Fatal("six blocks beside the one that was found")
	}
	got, ok := p.Acquire([]int32{0}, 5)
	if !ok || fmt.Sprint(got) != "[4 5 3 2 1]" {
		t.Fatal(got, ok)
	}
	check(t, p)
	if _, ok := p.Lookup(first); !ok || p.Owners(0) != 1 {
		t.Error("block 0 is lost")
	}
	p.Clear()
	if _, ok := p.Lookup(first); ok {
		t.Error("content outlived Clear")
	}
	check(t, p)
}

// TestHash: content is named by the tokens and all before them, and by where
// blocks end.
func TestHash(t *testing.T) {
	names := map[Hash]string{}
	for name, h := range map[string]Hash{
		"1 2":        Root.Next([]int32{1, 2}),
		"1 2|3 4":    Root.Next([]int32{1, 2}).Next([]int32{3, 4}),
		"3 4":        Root.Next([]int32{3, 4}),
		"3 4|1 2":    Root.Next([]int32{3, 4}).Next([]int32{1, 2}),
		"1 2 3 4":    Root.Next([]int32{1, 2, 3, 4}),
		"1|2":        Root.Next([]int32{1}).Next([]int32{2}),
		"a long one": Root.Next(make([]int32, 500)),
	} {
		if other, ok := names[h]; ok {
			t.Errorf("%q and %q have one name", name, other)
		}
		names[h] = name
	}
}

func TestReturnedTwice(t *testing.T) {
	p := NewPool(2, 4)
	b, _ := p.Take(1)
	p.Return(b)
	defer func() {
		if recover() == nil {
			t.Error("accepted")
		}
	}()
	p.Return(b)
}

// TestRandom plays sequences that share prefixes against a pool and remembers
// what each block must hold.
func TestRandom(t *testing.T) {
	type seq struct {
		blocks []int32
		hashes []Hash
		full   int
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		p := NewPool(2+rng.IntN(30), 4)
		content := make([]Hash, p.Total()) // as the ranks hold it
		var seqs []*seq
		for range 3000 {
			switch rng.IntN(5) {
			case 0, 1: // start: what is cached, and some more
				s := &seq{}
				h := Root
				for range 1 + rng.IntN(5) {
					h = h.Next([]int32{int32(rng.IntN(2))})
					s.hashes = append(s.hashes, h)
				}
				for _, h := range s.hashes {
					b, ok := p.Lookup(h)
					if !ok {
						break
					}
					if content[b] != h {
						t.Fatalf("seed %d: block %d holds something else", seed, b)
					}
					s.blocks = append(s.blocks, b)
				}
				s.full = len(s.blocks)
				free := p.Free()
				more, ok := p.Acquire(s.blocks, len(s.hashes)-s.full)
				if !ok {
					if p.Free() != free {
						t.Fatalf("seed %d: a refusal changed the pool", seed)
					}
					break
				}
				for _, b := range more {
					content[b] = Hash{}
				}
				s.blocks = append(s.blocks, more...)
				seqs = append(seqs, s)
			case 2: // fill a block
				if len(seqs) > 0 {
					if s := seqs[rng.IntN(len(seqs))]; s.full < len(s.blocks) {
						if p.Owners(s.blocks[s.full]) != 1 {
							t.Fatalf("seed %d: a block to be written has %d owners", seed, p.Owners(s.blocks[s.full]))
						}
						content[s.blocks[s.full]] = s.hashes[s.full]
						p.Publish(s.blocks[s.full], s.hashes[s.full])
						s.full++
					}
				}
			case 3: // end
				if len(seqs) > 0 {
					i := rng.IntN(len(seqs))
					p.Return(seqs[i].blocks)
					seqs = slices.Delete(seqs, i, i+1)
				}
			case 4:
				if rng.IntN(100) == 0 {
					for _, s := range seqs {
						p.Return(s.blocks)
					}
					p.Clear()
					seqs = nil
				}
			}
			check(t, p)
			owned := map[int32]int{}
			for _, s := range seqs {
				for _, b := range s.blocks {
					owned[b]++
				}
			}
			if used, cached, empty := p.Counts(); used != len(owned) || used+cached+empty != p.Total() {
				t.Fatalf("seed %d: %d used, %d cached, %d empty of %d; %d are owned", seed, used, cached, empty, p.Total(), len(owned))
			}
		}
	}
}

// TestWatch: what is told of a block's life.
func TestWatch(t *testing.T) {
	p := NewPool(2, 4)
	var told []float64
	p.Watch(Watch{
		Evicted: func(lifetime, idle float64) { told = append(told, lifetime, idle) },
		Reused:  func(gap float64) { told = append(told, gap) },
	})
	want := func(what string, all ...float64) {
		t.Helper()
		if !slices.Equal(told, all) {
			t.Errorf("%s: told %v, want %v", what, told, all)
		}
		told = nil
	}
	p.At(1)
	a, _ := p.Take(2)
	p.Publish(a[0], Hash{1})
	p.At(2)
	p.Return(a)
	want("a block without content is given back")
	p.At(5)
	p.Acquire(a[:1], 1)
	want("one is found again", 4)
	p.At(6)
	p.Acquire(a[:1], 0)
	want("and shared", 1)
	p.Return(a)
	p.Return(a[:1])
	p.At(16)
	p.Take(2)
	want("it is taken for something else", 15, 10)
}
