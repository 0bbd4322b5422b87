package registry

import (
	"context"
	"fmt"
)

// Depose ends the leadership of a coordinator that is dead, as the end of its lease
// would a few seconds later; nothing happens where another one leads by now. If it
// was alive after all it finds its leadership lost, as after any lapse: what it may
// still do is fenced by epochs.
func (r *Registry) Depose(ctx context.Context, coordinatorID string) error {
	call, cancel := r.call(ctx, callTimeout)
	defer cancel()
	entries, _, err := r.backend.list(call, r.keys.candidates())
	if err != nil {
		return fmt.Errorf("registry: depose %s: %w", coordinatorID, err)
	}
	read := newReader(r, decode[candidate])
	if first := oldest(entries); first != nil {
		if c, ok := read.one(*first); ok && c.ID == coordinatorID {
			if err := r.backend.revoke(call, first.lease); err != nil {
				return fmt.Errorf("registry: depose %s: %w", coordinatorID, err)
			}
		}
	}
	return nil
}
