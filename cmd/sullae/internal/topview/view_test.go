package topview

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/status"
)

func cluster(step uint64, tokens int64) status.Cluster {
	return status.Cluster{
		Version: "1", Model: status.Model{Name: "모델"}, Traffic: status.Traffic{GenerationTokens: tokens},
		Group: status.Group{Phase: "serving", Epoch: 3, Step: step, Running: 2, Waiting: 1, KVBlocksFree: 50, KVBlocksTotal: 100},
		Workers: []status.Worker{
			{ID: "w0", Health: "alive", Rank: 0, Heads: [2]int{0, 4}, FFN: [2]int{0, 64}, ComputeMs: 6, WaitMs: 2, BlockedMs: 1, BytesSent: tokens * 1000, Backend: "cpu/avx2", Threads: 2},
			{ID: "w1", Health: "alive", Rank: 1, Heads: [2]int{4, 8}, FFN: [2]int{64, 128}, ComputeMs: 2, WaitMs: 6, BlockedMs: 5, Straggler: true},
			{ID: "w2", Health: "alive", Rank: -1},
		},
		Events: []status.Event{{Kind: "lost", Epoch: 2, Worker: "w9", Text: "EOF"}, {Kind: "serving", Epoch: 3}},
	}
}

func TestLines(t *testing.T) {
	var m Model
	at := time.Unix(100, 0)
	m.Update(cluster(10, 100), at)
	m.Update(cluster(30, 300), at.Add(2*time.Second))
	text := strings.Join(m.Lines(160, 24, screen.Palette{}), "\n")
	for _, want := range []string{"모델", "serving", "epoch 3", "step 30 (10/s)", "2 running, 1 waiting", "100/s generated", "50 of 100 blocks",
		"w0", "0-3", "64-127", "############++..", "slow", "spare", "lost", "w9", "EOF", "q quits"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	// A loss of this epoch marks its worker.
	s := cluster(31, 300)
	s.Events = append(s.Events, status.Event{Kind: "lost", Epoch: 3, Worker: "w0"})
	m.Update(s, at.Add(3*time.Second))
	if !m.lost()["w0"] {
		t.Error("w0 is not lost")
	}
	m.Fail(errors.New("no\x1b answer"))
	// Whatever the size, every line fits, and there are no more than fit.
	for _, size := range [][2]int{{1, 1}, {20, 5}, {80, 24}, {300, 100}} {
		lines := m.Lines(size[0], size[1], screen.Palette{Red: "\x1b[31m", Green: "\x1b[32m", Dim: "\x1b[2m"})
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			plain := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(l)
			if runewidth.StringWidth(plain) > size[0] || strings.ContainsRune(plain, '\x1b') {
				t.Errorf("%v: %q", size, l)
			}
		}
	}
}
