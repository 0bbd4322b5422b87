package batch

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

// addFile makes the record of a file whose data is at path, and moves that into
// place. Data that is in its place already is kept: an earlier try came so far.
func (s *store) addFile(path string, f File, order int64) error {
	err := moveTo(path, s.data(f.ID))
	if err != nil {
		if info, serr := os.Stat(s.data(f.ID)); serr != nil || info.Size() != f.Bytes {
			return err
		}
	}
	r := &fileRecord{File: f, Order: order}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeRecord(s.path(filesDir, f.ID, ".json"), r); err != nil {
		return err
	}
	s.files[f.ID] = r
	return nil
}

// inUse is the unfinished batch that reads a file, or "".
func (s *store) inUse(fileID string) string {
	for id, b := range s.batches {
		if b.Batch.InputFileID == fileID && !ended(b.Batch.Status) {
			return id
		}
	}
	return ""
}

// deleteFile forgets a file. It reports the batch that still needs it.
func (s *store) deleteFile(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.files[id]
	if r == nil {
		return notFound("file", id)
	}
	if b := s.inUse(id); b != "" {
		return apiError{Status: http.StatusConflict, Code: "file_in_use", Message: fmt.Sprintf("the file %s is the input of %s, which is not finished: cancel that first", id, b)}
	}
	if err := remove(s.path(filesDir, id, ".json")); err != nil {
		return err
	}
	delete(s.files, id)
	s.used -= r.File.Bytes
	return remove(s.data(id))
}

// expire forgets files at their time, and batches that ended so long ago that
// their files are gone, too.
func (s *store) expire(keep time.Duration) error {
	now := s.now()
	s.mu.Lock()
	var old []string
	for id, f := range s.files {
		if f.File.ExpiresAt <= now.Unix() && s.inUse(id) == "" {
			old = append(old, id)
		}
	}
	for id, b := range s.batches {
		if ended(b.Batch.Status) && now.Sub(time.Unix(b.Batch.CreatedAt, 0)) > 2*keep {
			if err := remove(s.path(batchesDir, id, ".json")); err != nil {
				s.mu.Unlock()
				return err
			}
			delete(s.batches, id)
		}
	}
	s.mu.Unlock()
	for _, id := range old {
		if err := s.deleteFile(id); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}
