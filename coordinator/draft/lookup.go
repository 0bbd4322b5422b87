// Package draft guesses at the tokens that follow a sequence's, so that a step
// can check several at once. It is pure: the same tokens give the same guess.
package draft

// longest is the longest end of the tokens that is looked for, shortest the
// shortest that counts: a single token says too little.
const (
	longest  = 4
	shortest = 2
)

// Lookup guesses that a sequence goes on as it did before: it finds the latest
// earlier place of the longest end of tokens (of shortest to longest of them) and
// returns what follows there, at most limit tokens.
//
// After: Saxena, Prompt Lookup Decoding (2023).
func Lookup(tokens []int32, limit int) []int32 {
	n := len(tokens)
	if n <= shortest || limit <= 0 {
		return nil
	}
	best, at := shortest-1, 0
	last, before := tokens[n-1], tokens[n-2]
	for i := n - 2; i > 0 && best < longest; i-- {
		if tokens[i] != last || tokens[i-1] != before {
			continue
		}
		k := 2
		for k < longest && i-k >= 0 && tokens[i-k] == tokens[n-1-k] {
			k++
		}
		if k > best {
			best, at = k, i+1
		}
	}
	if best < shortest {
		return nil
	}
	// The guess may run into its own beginning: a loop goes on as a loop.
	out := make([]int32, 0, limit)
	for i := range limit {
		if j := at + i; j < n {
			out = append(out, tokens[j])
		} else {
			out = append(out, out[j-n])
		}
	}
	return out
}
