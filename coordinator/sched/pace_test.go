package sched

import "testing"

// TestPace: the pace bounds prompts' rows while no more sequences wait for their
// first token than stream; where more wait, Config.MaxPrefillChunk alone does.
func TestPace(t *testing.T) {
	s := New(Config{MaxBatchedTokens: 512, MaxSeqs: 32, MaxModelLen: 4096, Blocks: 1024, BlockSize: 16, MaxPrefillChunk: 128})
	s.Pace(5)
	id := uint64(0)
	add := func(n, prompt int) {
		t.Helper()
		for range n {
			id++
			tokens := make([]int32, prompt)
			for i := range tokens {
				tokens[i] = int32(id)
			}
			if err := s.Add(Request{ID: id, Prompt: tokens, MaxTokens: 100}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows := func() (streams, prompts int) {
		t.Helper()
		step, ok := s.Schedule()
		if !ok {
			t.Fatal("nothing to compute")
		}
		for _, it := range step.Items {
			var tokens []int32
			if it.Sample {
				tokens = []int32{9}
			}
			s.Update(it, tokens...)
		}
		return step.Streams, step.Rows - step.Streams
	}
	add(3, 10)
	if _, prompts := rows(); prompts != 30 {
		t.Errorf("%d rows of prompts while nothing streams, want all 30", prompts)
	}
	add(1, 1000)
	if streams, prompts := rows(); streams != 3 || prompts != 5 {
		t.Errorf("%d streams and %d rows of a prompt, want 3 and 5", streams, prompts)
	}
	add(3, 1000)
	if streams, prompts := rows(); streams != 3 || prompts != 128 {
		t.Errorf("%d streams and %d rows of four prompts, want 3 and 128", streams, prompts)
	}
}
