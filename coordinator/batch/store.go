package batch

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// store is the folder and what is known of it. Records are changed on disk
// first, under the lock: they are few and small.
type store struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	used    int64 // bytes of data
	files   map[string]*fileRecord
	batches map[string]*batchRecord
	changed chan struct{} // closed at every change of a batch
}

type fileRecord struct {
	File  File  `json:"file"`
	Order int64 `json:"order"` // creation in nanoseconds: seconds don't order a list
	// Owner is the name of the API key that made it; "": there were no keys.
	Owner string `json:"owner,omitempty"`
}

type batchRecord struct {
	Batch Batch  `json:"batch"`
	Order int64  `json:"order"`
	Owner string `json:"owner,omitempty"` // as of a file
	// OutputID and ErrorsID are the files that the answers will be.
	OutputID string `json:"output_id"`
	ErrorsID string `json:"errors_id"`
	// KeepSeconds is how long these are kept.
	KeepSeconds int64 `json:"keep_seconds"`
	// End is the status that the batch will have when its files are made: its
	// work is over once this is set.
	End string `json:"end,omitempty"`

	taken  bool        // by one of Run's goroutines
	retry  time.Time   // after an error of the disk
	cancel func(error) // ends its work under way, or nil
}

func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

func (st *store) path(dir, id, ext string) string { return filepath.Join(st.dir, dir, id+ext) }

func (st *store) data(fileID string) string { return st.path(filesDir, fileID, ".data") }

// use counts n more bytes; it reports false, and counts nothing, where that is
// more than the folder may hold.
func (st *store) use(n, limit int64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n > 0 && st.used+n > limit {
		return false
	}
	st.used += n
	return true
}

// update changes a batch's record, on the disk first, and wakes who waits for
// changes.
func (st *store) update(b *batchRecord, change func(*Batch)) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.updateLocked(b, change)
}

func (st *store) updateLocked(b *batchRecord, change func(*Batch)) error {
	next := *b
	change(&next.Batch)
	return st.putLocked(b, next)
}

func (st *store) putLocked(b *batchRecord, next batchRecord) error {
	if err := writeRecord(st.path(batchesDir, next.Batch.ID, ".json"), next); err != nil {
		return err
	}
	b.Batch, b.End = next.Batch, next.End
	st.wakeLocked()
	return nil
}

func (st *store) wakeLocked() {
	close(st.changed)
	st.changed = make(chan struct{})
}
