package plan

import "github.com/sullae/sullae/shard/model"

// The rule of the cut. Sums are folded over these units, so every bit of every
// result depends on it: once released it must never change, or a cluster
// would continue a sequence with other numbers than it began with. A new rule
// would need a new name, chosen per model.
//
//	attention    one query head
//	MLP          ceil(F/32) columns, rounded up to a multiple of 32 where
//	             F >= 1024 and of 8 below: 14336 = 32 x 448, 7168 = 32 x 224,
//	             240 = 30 x 8
//	vocabulary   ceil(V/64) rows, rounded up to a multiple of 16:
//	             102400 = 64 x 1600
//
// About 32 MLP units are enough for an even split over many workers and few
// enough that a unit's product is long. Multiples of 32 keep groups of
// quantized weights (32 along K) within one unit; models too small for that
// still get enough units to be shared.
const (
	mlpUnits      = 32
	mlpMultiple   = 32
	smallFFN      = 1024
	smallMultiple = 8
	vocabUnits    = 64
	vocabMultiple = 16
)

// UnitsOf is the cut of a model.
func UnitsOf(s *model.Spec) Units {
	multiple := mlpMultiple
	if s.FFN < smallFFN {
		multiple = smallMultiple
	}
	return Units{
		Heads: s.Heads, KVHeads: s.KVHeads,
		FFN: s.FFN, MLPUnit: roundUp(ceilDiv(s.FFN, mlpUnits), multiple),
		Vocab: s.Vocab, VocabUnit: roundUp(ceilDiv(s.Vocab, vocabUnits), vocabMultiple),
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func roundUp(a, to int) int { return ceilDiv(a, to) * to }
