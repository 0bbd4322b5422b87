package group

import "testing"

// TestPacer: on machines of which prompts' rows cost little or much beside a step
// of streams, the chunk settles where a step takes about twice as long as without.
func TestPacer(t *testing.T) {
	for _, c := range []struct {
		name        string
		fixed, row  float64 // seconds of a step, and of each of its rows
		streams     int
		dearer      float64 // what each thousand positions add to a row
		least, most int
		limit       int
	}{
		{name: "compute-bound", fixed: 0, row: 0.0125, streams: 8, limit: 256, least: 7, most: 9},
		{name: "memory-bound", fixed: 0.050, row: 0.001, streams: 1, limit: 256, least: 45, most: 56},
		{name: "many streams", fixed: 0.001, row: 0.0001, streams: 64, limit: 256, least: 60, most: 80},
		{name: "the limit", fixed: 0.1, row: 0.0001, streams: 4, limit: 256, least: 256, most: 256},
		{name: "dear rows", fixed: 0, row: 1, streams: 1, limit: 256, least: 4, most: 4},
		{name: "a low limit", fixed: 0, row: 1, streams: 1, limit: 2, least: 2, most: 2},
		{name: "dearer along the prompt", fixed: 0, row: 0.001, streams: 16, limit: 256, dearer: 1, least: 4, most: 8},
	} {
		p := pacer{limit: c.limit}
		if n := p.chunk(c.streams); n > firstChunk {
			t.Errorf("%s: %d rows at first", c.name, n)
		}
		alone := c.fixed + c.row*float64(c.streams)
		for range 20 {
			p.note(c.streams, 0, alone)
		}
		for at := 0; at < 2000; {
			n := p.chunk(c.streams)
			row := c.row * (1 + c.dearer*float64(at)/1000)
			p.note(c.streams, n, alone+row*float64(n))
			at += n
		}
		if n := p.chunk(c.streams); n < c.least || n > c.most {
			t.Errorf("%s: %d rows in the end, want %d to %d", c.name, n, c.least, c.most)
		}
	}
}

// TestPacerNeverAlone: where many stream and prompts are always there, the chunk
// doesn't stay as small as for the few that were once alone.
func TestPacerNeverAlone(t *testing.T) {
	const fixed, row = 0.0001, 0.00004
	p := pacer{limit: 256}
	p.note(0, 32, fixed+32*row)
	p.note(1, 0, fixed+row)
	for range 10 {
		n := p.chunk(32)
		p.note(32, n, fixed+row*float64(32+n))
	}
	if n := p.chunk(32); n < 20 || n > 40 {
		t.Errorf("%d rows of prompts beside 32 streams", n)
	}
	for range 30 {
		p.note(32, 0, fixed+32*row)
	}
	if n := p.chunk(32); n < 20 || n > 40 {
		t.Errorf("%d rows of prompts beside 32 streams that were alone", n)
	}
}

// TestPacerBetween: what is known of a step of 16 streams is not taken for one of 31,
// whose time would count as the prompts'.
func TestPacerBetween(t *testing.T) {
	const fixed, row = 0.0001, 0.00003
	for _, known := range [][]int{{1, 16}, {1, 2, 4, 8, 16}, {8, 17}, {2, 17, 40}} {
		p := pacer{limit: 256}
		p.note(0, 64, fixed+64*row)
		for _, n := range known {
			for range 20 {
				p.note(n, 0, fixed+row*float64(n))
			}
		}
		for range 30 {
			n := p.chunk(31)
			p.note(31, n, fixed+row*float64(31+n))
		}
		if n := p.chunk(31); n < 25 || n > 40 {
			t.Errorf("%v known: %d rows of prompts beside 31 streams", known, n)
		}
	}
}
