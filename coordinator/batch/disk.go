package batch

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

// The folder:
//
//	lock                    held by the process that uses it
//	files/ID.json, ID.data  a file: what it is, and its bytes
//	batches/ID.json         a batch's record
//	work/ID.output, .errors its answers so far; they become files at its end
//	tmp/                    uploads under way
const (
	filesDir, batchesDir, workDir, tmpDir = "files", "batches", "work", "tmp"
)

// writeRecord puts v in a file in one step: after a crash it is the old one or
// the new one, whole.
func writeRecord(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return moveTo(next, path)
}

// moveTo renames a file that is on the disk already.
func moveTo(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return batchfile.SyncDir(filepath.Dir(to))
}

func readRecord(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// remove deletes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
