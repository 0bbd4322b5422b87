package model

import (
	"math"

	"github.com/sullae/sullae/kernels"
)

// Rope is the rotary embedding: inverse frequencies theta^(-2i/Dim), scaled in at
// most one of three ways.
type Rope struct {
	Theta  float64
	Dim    int     // rotated elements of a head, the first ones
	Linear float64 // divides every frequency; 0: no such scaling
	Llama3 *Llama3Scaling
	Long   *LongRope
}

// Llama3Scaling stretches long wavelengths.
// After: transformers modeling_rope_utils.py, _compute_llama3_parameters.
type Llama3Scaling struct {
	Factor, LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositions                  int
}

// LongRope divides the frequencies by one of two lists of Dim/2 factors: by Short
// in sequences of at most OriginalMaxPositions tokens, by Long in longer ones.
// When a sequence grows past that, all its keys change.
// After: transformers modeling_rope_utils.py, _compute_longrope_parameters.
type LongRope struct {
	Short, Long          []float64
	OriginalMaxPositions int
	Attention            float64 // cos and sin are multiplied by it
}

// Table is cos and sin of positions [0, positions), and behind them, for a
// LongRope, those of short sequences' positions.
func (r Rope) Table(positions int) *kernels.RopeTable {
	inv := kernels.InvFreq(r.Theta, r.Dim)
	switch {
	case r.Linear > 0:
		return kernels.NewRopeTable(divided(inv, func(int) float64 { return r.Linear }), 1, positions)
	case r.Llama3 != nil:
		return kernels.NewRopeTable(r.Llama3.scale(inv), 1, positions)
	case r.Long != nil:
		l := r.Long
		t := kernels.NewRopeTable(divided(inv, func(i int) float64 { return l.Long[i] }), l.Attention, positions)
		s := kernels.NewRopeTable(divided(inv, func(i int) float64 { return l.Short[i] }), l.Attention, min(positions, l.OriginalMaxPositions))
		t.Cos, t.Sin = append(t.Cos, s.Cos...), append(t.Sin, s.Sin...)
		return t
	}
	return kernels.NewRopeTable(inv, 1, positions)
}

// Start is the row of Table(positions) for the first position of a sequence that
// holds the given number of tokens; the others follow. It changes only where
// LongAfter says so.
func (r Rope) Start(positions, tokens int) int {
	if after := r.LongAfter(); after > 0 && tokens <= after {
		return positions
	}
	return 0
}

// LongAfter is the number of tokens from which on a longer sequence has other keys
// at all its positions; 0: there is none.
func (r Rope) LongAfter() int {
	if r.Long == nil {
		return 0
	}
	return r.Long.OriginalMaxPositions
}

func divided(inv []float64, by func(i int) float64) []float64 {
	out := make([]float64, len(inv))
	for i, w := range inv {
		out[i] = w / by(i)
	}
	return out
}

// scale is the formula in float64, with no two operations fused, so that every
// machine has the same bits.
//
// Wavelengths (2*pi/inv) below OriginalMaxPositions/HighFreqFactor stay, those
// above OriginalMaxPositions/LowFreqFactor are stretched by Factor, and between
// them the two are mixed linearly in OriginalMaxPositions/wavelength.
func (l *Llama3Scaling) scale(inv []float64) []float64 {
	out := make([]float64, len(inv))
	old := float64(l.OriginalMaxPositions)
	for i, w := range inv {
		wavelength := 2 * math.Pi / w
		switch {
		case wavelength < old/l.HighFreqFactor:
			out[i] = w
		case wavelength > old/l.LowFreqFactor:
			out[i] = w / l.Factor
		default:
			smooth := float64(old/wavelength-l.LowFreqFactor) / float64(l.HighFreqFactor-l.LowFreqFactor)
			out[i] = float64(float64(1-smooth)*w/l.Factor) + float64(smooth*w)
		}
	}
	return out
}
