package batch

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

// addFile makes the record of a file whose data is at path, and moves that into
// place. Data that is in its place already is kept: an earlier try came so far.
func (st *store) addFile(path string, f File, owner string, order int64) error {
	err := moveTo(path, st.data(f.ID))
	if err != nil {
		if info, serr := os.Stat(st.data(f.ID)); serr != nil || info.Size() != f.Bytes {
			return err
		}
	}
	r := &fileRecord{File: f, Order: order, Owner: owner}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := writeRecord(st.path(filesDir, f.ID, ".json"), r); err != nil {
		return err
	}
	st.files[f.ID] = r
	return nil
}

// inUse is the unfinished batch that reads a file, or "".
func (st *store) inUse(fileID string) string {
	for id, b := range st.batches {
		if b.Batch.InputFileID == fileID && !ended(b.Batch.Status) {
			return id
		}
	}
	return ""
}

// deleteFile forgets a file. It reports the batch that still needs it.
func (st *store) deleteFile(id string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.files[id]
	if r == nil {
		return notFound("file", id)
	}
	if b := st.inUse(id); b != "" {
		return apiError{Status: http.StatusConflict, Code: "file_in_use", Message: fmt.Sprintf("the file %s is the input of %s, which is not finished: cancel that first", id, b)}
	}
	if err := remove(st.path(filesDir, id, ".json")); err != nil {
		return err
	}
	delete(st.files, id)
	st.used -= r.File.Bytes
	return remove(st.data(id))
}

// expire forgets files at their time, and batches that ended so long ago that
// their files are gone, too.
func (st *store) expire(keep time.Duration) error {
	now := st.now()
	st.mu.Lock()
	var old []string
	for id, f := range st.files {
		if f.File.ExpiresAt <= now.Unix() && st.inUse(id) == "" {
			old = append(old, id)
		}
	}
	for id, b := range st.batches {
		if ended(b.Batch.Status) && now.Sub(time.Unix(b.Batch.CreatedAt, 0)) > 2*keep {
			if err := remove(st.path(batchesDir, id, ".json")); err != nil {
				st.mu.Unlock()
				return err
			}
			delete(st.batches, id)
		}
	}
	st.mu.Unlock()
	for _, id := range old {
		if err := st.deleteFile(id); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}
