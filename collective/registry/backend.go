package registry

import (
	"context"
	"errors"
	"time"
)

// backend is the store beneath a Registry: etcd, or Memory. Calls end when ctx
// does; a Registry gives every call a deadline.
type backend interface {
	// get returns the key's value, nil where there is none.
	get(ctx context.Context, key string) (*entry, error)
	// list returns the keys that start with prefix, sorted, and the revision
	// of the whole store at which they were read.
	list(ctx context.Context, prefix string) ([]entry, int64, error)
	// watch sends the changes below prefix from revision from on. The channel
	// closes when ctx ends or when the changes can't be had any more, which
	// a new list and watch cures. A receiver that stops must end ctx.
	watch(ctx context.Context, prefix string, from int64) <-chan []event
	// commit makes all changes if all conditions hold, and tells whether it
	// did, and the revision after it.
	commit(ctx context.Context, when []condition, then ...change) (done bool, revision int64, err error)
	// grant makes a lease, and tells the time to live that was really given.
	grant(ctx context.Context, ttl time.Duration) (leaseID, time.Duration, error)
	// refresh gives the lease its full time again: errLeaseLost if it's gone.
	refresh(ctx context.Context, id leaseID) error
	// remaining is the time left to the lease, errLeaseLost if it's gone.
	remaining(ctx context.Context, id leaseID) (time.Duration, error)
	// revoke ends the lease and deletes its keys. One that is gone is no error.
	revoke(ctx context.Context, id leaseID) error
	close() error
}

// errLeaseLost is the store's certain word that a lease is no more.
var errLeaseLost = errors.New("the lease is gone")

type leaseID int64

// entry is a key with its value. Revisions count the store's changes.
type entry struct {
	key            string
	value          []byte
	createRevision int64
	modRevision    int64
	lease          leaseID
}

// event is one change of a key.
type event struct {
	entry
	deleted bool // only key and modRevision are set
}

// condition is a comparison that a commit depends on. A key that does not exist
// has both revisions 0.
type condition struct {
	key      string
	created  bool // compare createRevision, else modRevision
	revision int64
}

func createdAt(key string, revision int64) condition { return condition{key, true, revision} }
func modifiedAt(key string, revision int64) condition {
	return condition{key, false, revision}
}
func absent(key string) condition { return createdAt(key, 0) }

// change is a write or a deletion of one key.
type change struct {
	key    string
	value  []byte
	lease  leaseID // 0: none
	delete bool
}
