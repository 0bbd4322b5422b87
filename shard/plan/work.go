package plan

import (
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
)

// logitRows is how many rows of logits a rank holds at a time.
const logitRows = 64

// WorkBytes estimates what a rank's steps of at most rows rows need beside weights
// and KV pool: its activations and logits, in f32, in buffers that grow by doubling.
func WorkBytes(s *model.Spec, p Plan, rank, rows int) int64 {
	share, u := p.Shares[rank], p.Units
	capacity := 16
	for capacity < rows {
		capacity *= 2
	}
	heads := share.Heads.Len() * s.HeadDim
	kv := u.KVRange(share).Len() * s.HeadDim
	nodes := len(tree.Maximal(u.Heads, share.Heads)) + len(tree.Maximal(u.MLPLeaves(), share.MLP))
	perRow := (2+nodes)*s.Hidden + 2*(heads+kv+u.FFNRange(share).Len())
	return 4 * (int64(capacity)*int64(perRow) + logitRows*int64(s.Hidden+u.VocabRange(share).Len()))
}
