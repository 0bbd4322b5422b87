package synth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/sullae/sullae/shard/model"
)

// Write makes a checkpoint in the folder dir, which must be empty or not yet
// there. Everything is written to a temporary folder first, so dir gets a whole
// checkpoint or nothing, also when ctx ends. progress, if not nil, is told the
// bytes written so far and in all, from one goroutine at a time. The data is
// left to the system to bring to disk.
func Write(ctx context.Context, dir string, o Options, progress func(done, total int64)) (err error) {
	var tok *tokenizer
	if o.TokenizerFrom != "" {
		if tok, err = readTokenizer(o.TokenizerFrom); err != nil {
			return err
		}
	}
	config, spec, err := o.config(tok)
	if err != nil {
		return err
	}
	if o.ShardBytes == 0 {
		o.ShardBytes = defaultShardBytes
	}
	files, index, err := layout(spec, o.Seed, o.ShardBytes)
	if err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	var need int64 = 1 << 20 // the small files
	for _, f := range files {
		need += f.size
	}
	work, publish, err := workFolder(dir, need)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("synth: %w; nothing was left in %s", err, dir), os.RemoveAll(work))
		}
	}()

	small := map[string][]byte{"config.json": config, "generation_config.json": generationConfig(spec)}
	if index != nil {
		small["model.safetensors.index.json"] = index
	}
	if tok != nil {
		for name, data := range tok.files {
			small[name] = data
		}
	}
	for name, data := range small {
		if err := os.WriteFile(filepath.Join(work, name), data, 0o666); err != nil {
			return err
		}
	}
	if err := writeFiles(ctx, work, files, spec.DType, progress); err != nil {
		return err
	}
	return publish()
}

// generationConfig names the special ids again, as published folders do.
func generationConfig(s *model.Spec) []byte {
	return fmt.Appendf(nil, "{\n  \"bos_token_id\": %d,\n  \"eos_token_id\": %d,\n  \"pad_token_id\": %d\n}\n",
		s.BOS[0], s.EOS[0], s.PAD[0])
}

// workFolder makes the temporary folder and says how its content becomes dir:
// by one rename where dir is new, else by moving the files into the empty dir
// (which may be a mount point), config.json last.
func workFolder(dir string, need int64) (work string, publish func() error, err error) {
	hidden := fmt.Sprintf(".%s.partial-%08x", filepath.Base(dir), rand.Uint32())
	parent, isNew := filepath.Dir(dir), false
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
		isNew = true
		if _, err := os.Stat(parent); err != nil {
			return "", nil, fmt.Errorf("synth: the folder %s that %s is to be made in: %w", parent, filepath.Base(dir), err)
		}
	case err != nil:
		return "", nil, fmt.Errorf("synth: %w; give a folder that is empty or not there yet", err)
	case len(entries) > 0:
		return "", nil, fmt.Errorf("synth: %s is not empty (it holds %s); give a folder that is empty or not there yet", dir, entries[0].Name())
	default:
		parent = dir
	}
	if free, ok := freeBytes(parent); ok && free < need {
		return "", nil, fmt.Errorf("synth: %s has %d MB free, and the checkpoint needs %d MB", parent, free/1e6, (need+999_999)/1e6)
	}
	work = filepath.Join(parent, hidden)
	if err := os.Mkdir(work, 0o777); err != nil {
		return "", nil, fmt.Errorf("synth: %w", err)
	}
	if isNew {
		return work, func() error { return os.Rename(work, dir) }, nil
	}
	return work, func() error { return moveInto(dir, work) }, nil
}

// moveInto moves the files of work into dir and removes work; on an error dir
// is empty again.
func moveInto(dir, work string) (err error) {
	entries, err := os.ReadDir(work)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "config.json" {
			names = append(names, e.Name())
		}
	}
	names = append(names, "config.json") // without it the folder is no model yet
	for i, name := range names {
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			for _, moved := range names[:i] {
				err = errors.Join(err, os.Remove(filepath.Join(dir, moved)))
			}
			return err
		}
	}
	return os.Remove(work)
}
