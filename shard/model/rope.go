package model

import "math"

// Scale returns the inverse frequencies that positions are multiplied with,
// from the unscaled ones (theta^(-2i/Dim), i < Dim/2; kernels.InvFreq). The
// result is a new slice. The formula is evaluated in float64, with no two
// operations fused, so every machine has the same bits.
//
// Wavelengths (2*pi/inv) below OriginalMaxPositions/HighFreqFactor stay, those
// above OriginalMaxPositions/LowFreqFactor are stretched by Factor, and between
// them the two are mixed linearly in OriginalMaxPositions/wavelength.
// After: transformers modeling_rope_utils.py, _compute_llama3_parameters.
func (r Rope) Scale(inv []float64) []float64 {
	out := make([]float64, len(inv))
	copy(out, inv)
	l := r.Scaling
	if l == nil {
		return out
	}
	old := float64(l.OriginalMaxPositions)
	for i, w := range inv {
		wavelength := 2 * math.Pi / w
		switch {
		case wavelength < old/l.HighFreqFactor:
		case wavelength > old/l.LowFreqFactor:
			out[i] = w / l.Factor
		default:
			smooth := float64(old/wavelength-l.LowFreqFactor) / float64(l.HighFreqFactor-l.LowFreqFactor)
			out[i] = float64(float64(1-smooth)*w/l.Factor) + float64(smooth*w)
		}
	}
	return out
}
