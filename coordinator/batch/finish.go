package batch

import (
	"errors"
	"os"
)

// finish makes files of a batch's answers and sets its last status. Each of its
// steps may have been done before a crash, and is then found done.
func (s *Service) finish(st *store, b *batchRecord) error {
	batch := st.view(b)
	var ids [2]*string
	for i, f := range []struct{ id, ext, name string }{
		{b.OutputID, ".output", "_output.jsonl"},
		{b.ErrorsID, ".errors", "_error.jsonl"},
	} {
		path := st.path(workDir, batch.ID, f.ext)
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			info, err = os.Stat(st.data(f.id))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
		}
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			if err := remove(path); err != nil {
				return err
			}
			continue
		}
		now := st.now()
		err = st.addFile(path, File{
			ID: f.id, Object: "file", Bytes: info.Size(), CreatedAt: now.Unix(), ExpiresAt: now.Unix() + b.KeepSeconds,
			Filename: batch.ID + f.name, Purpose: "batch_output", Status: "processed",
		}, b.Owner, now.UnixNano())
		if err != nil {
			return err
		}
		ids[i] = &f.id
	}
	return st.update(b, func(v *Batch) {
		v.OutputFileID, v.ErrorFileID = ids[0], ids[1]
		v.stamp(b.End, st.now().Unix())
	})
}
