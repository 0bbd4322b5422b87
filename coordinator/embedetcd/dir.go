package embedetcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long another process may hold the data while it ends.
const lockTimeout = 2 * time.Second

// checkDir makes dir where it lacks, and tells why an etcd can't run in it. etcd
// itself would wait for ever for data that another process holds, and end the
// process over a database that it can't open.
func checkDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("embedded etcd: %s %s: %w", flagDir, dir, err)
	}
	f, err := os.CreateTemp(dir, ".write-")
	if err != nil {
		return fmt.Errorf("embedded etcd: %s %s: can't write: %w", flagDir, dir, err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("embedded etcd: %s %s: %w", flagDir, dir, err)
	}

	path := filepath.Join(dir, "member", "snap", "db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("embedded etcd: %s %s: another process uses it: %w", flagDir, dir, err)
	}
	if err != nil {
		return fmt.Errorf("embedded etcd: %s %s: the data is damaged; move the folder away to start afresh: %s: %w", flagDir, dir, path, err)
	}
	return db.Close()
}
