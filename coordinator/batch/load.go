package batch

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// openStore reads the folder, and clears away what a crash has left.
func openStore(dir string, now func() time.Time, log *slog.Logger) (*store, error) {
	st := &store{dir: dir, now: now, files: map[string]*fileRecord{}, batches: map[string]*batchRecord{}, changed: make(chan struct{})}
	if err := os.RemoveAll(filepath.Join(dir, tmpDir)); err != nil {
		return nil, err
	}
	for _, d := range []string{filesDir, batchesDir, workDir, tmpDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	records := func(dir string, load func(path, id string) error) error {
		entries, err := os.ReadDir(filepath.Join(st.dir, dir))
		for _, e := range entries {
			id, ok := strings.CutSuffix(e.Name(), ".json")
			if !ok {
				continue
			}
			path := filepath.Join(st.dir, dir, e.Name())
			if err := load(path, id); err != nil {
				log.Error("a record can't be read; it is left alone", "path", path, "err", err)
			}
		}
		return err
	}
	err := records(filesDir, func(path, id string) error {
		r := &fileRecord{}
		if err := readRecord(path, r); err != nil {
			return err
		}
		st.files[id] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = records(batchesDir, func(path, id string) error {
		r := &batchRecord{}
		if err := readRecord(path, r); err != nil {
			return err
		}
		st.batches[id] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return st, st.sweep()
}

// sweep removes data that belongs to nobody, and counts the rest.
func (st *store) sweep() error {
	owned := map[string]bool{}
	for id := range st.files {
		owned[st.data(id)] = true
	}
	for id, b := range st.batches {
		if ended(b.Batch.Status) {
			continue
		}
		for _, p := range []string{st.data(b.OutputID), st.data(b.ErrorsID), st.path(workDir, id, ".output"), st.path(workDir, id, ".errors")} {
			owned[p] = true
		}
	}
	for _, dir := range []string{filesDir, workDir} {
		entries, err := os.ReadDir(filepath.Join(st.dir, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(st.dir, dir, e.Name())
			if ext := filepath.Ext(path); ext == ".json" || e.IsDir() {
				continue
			} else if !owned[path] {
				if err := remove(path); err != nil {
					return err
				}
				continue
			}
			if info, err := e.Info(); err == nil {
				st.used += info.Size()
			}
		}
	}
	return nil
}
