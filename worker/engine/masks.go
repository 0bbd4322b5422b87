package engine

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// awaitMasks gives the batch's masked sequences their masks.
func (e *Engine) awaitMasks(ctx context.Context, s Step, b *batch) error {
	if !slices.ContainsFunc(b.items, func(it item) bool { return it.step.Masked }) {
		return nil
	}
	if err := e.b.Sync(); err != nil { // what waits is to be the masks alone
		return err
	}
	start := time.Now()
	masks, err := s.Masks(ctx)
	e.maskNanos = time.Since(start).Nanoseconds()
	if err != nil {
		return fmt.Errorf("masks: %w", err)
	}
	for i := range b.items {
		it := &b.items[i]
		if !it.step.Masked {
			continue
		}
		if len(masks) == 0 {
			return fmt.Errorf("%w: fewer masks than masked sequences", ErrPlan)
		}
		if it.masks, masks = masks[0], masks[1:]; it.masks != nil && len(it.masks) != 1+len(it.step.Drafts) {
			return fmt.Errorf("%w: sequence %d: %d masks for %d drafts", ErrPlan, it.seq.ID, len(it.masks), len(it.step.Drafts))
		}
	}
	if len(masks) > 0 {
		return fmt.Errorf("%w: more masks than masked sequences", ErrPlan)
	}
	return nil
}
