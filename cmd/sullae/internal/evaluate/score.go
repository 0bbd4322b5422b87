package evaluate

import (
	"context"
	"sync"
	"sync/atomic"
)

// Scorer gives the log-probabilities of a sequence's tokens: natural logarithms, one
// for each but the first.
type Scorer func(ctx context.Context, tokens []int32) ([]float32, error)

// Tokenizer turns a text into token ids, with the special tokens that the model's files
// ask for.
type Tokenizer func(ctx context.Context, text string) ([]int32, error)

// Done is what was scored so far; it may be read at any time.
type Done struct{ Sequences, Tokens atomic.Int64 }

// inParallel calls work for 0 to n-1, at most width at once, until one fails.
func inParallel(ctx context.Context, n, width int, work func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(width, n) {
		wg.Go(func() {
			for i := range next {
				if err := work(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
