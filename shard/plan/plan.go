// Package plan cuts a model into the fixed units of reduction and deals them
// out to ranks. It is pure: a plan is a function of the model's shape and the
// ranks' capacities.
package plan

import (
	"github.com/sullae/sullae/kernels/tree"
)

// Units are the cut of one model, the same for every number of ranks.
//
// Attention's leaves are the H query heads. The MLP's leaves are slices of
// MLPUnit FFN columns (the last may be shorter). The vocabulary is cut in
// blocks of VocabUnit rows (the last may be shorter), over which log-sum-exp
// is folded.
type Units struct {
	Heads, KVHeads   int
	FFN, MLPUnit     int
	Vocab, VocabUnit int
}

// MLPLeaves is the number of the MLP's leaves.
func (u Units) MLPLeaves() int { return (u.FFN + u.MLPUnit - 1) / u.MLPUnit }

// VocabLeaves is the number of vocabulary blocks.
func (u Units) VocabLeaves() int { return (u.Vocab + u.VocabUnit - 1) / u.VocabUnit }

// Share is one rank's part, in leaves. MLP and Vocab may be empty where ranks
// outnumber leaves; Heads never is.
type Share struct {
	Heads tree.Range // query heads
	MLP   tree.Range // MLP leaves
	Vocab tree.Range // vocabulary blocks
}

// KVRange is the range of KV heads that the share's query heads read; a KV head
// is copied where its group is split over ranks.
func (u Units) KVRange(s Share) tree.Range {
	g := u.Heads / u.KVHeads
	return tree.Range{Lo: s.Heads.Lo / g, Hi: (s.Heads.Hi + g - 1) / g}
}

// FFNRange is the share's range of FFN columns.
func (u Units) FFNRange(s Share) tree.Range {
	return tree.Range{Lo: min(s.MLP.Lo*u.MLPUnit, u.FFN), Hi: min(s.MLP.Hi*u.MLPUnit, u.FFN)}
}

// VocabRange is the share's range of vocabulary rows.
func (u Units) VocabRange(s Share) tree.Range {
	return tree.Range{Lo: min(s.Vocab.Lo*u.VocabUnit, u.Vocab), Hi: min(s.Vocab.Hi*u.VocabUnit, u.Vocab)}
}

// Plan deals a model's units to ranks: Shares[rank], contiguous, in rank order,
// covering every leaf once.
type Plan struct {
	Units  Units
	Shares []Share
}

// WorldSize is the number of ranks.
func (p Plan) WorldSize() int { return len(p.Shares) }
