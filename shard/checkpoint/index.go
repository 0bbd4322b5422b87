package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"

	maxConfig = 1 << 20  // bytes of config.json and generation_config.json
	maxIndex  = 64 << 20 // bytes of the index
)

// readSmall reads a whole file of at most limit bytes. A missing file is an
// error that wraps fs.ErrNotExist.
func (c *Checkpoint) readSmall(name string, limit int64) ([]byte, error) {
	f, _, err := openRegular(c.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(name), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(name), cause(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes, which is not believed", c.path(name), limit)
	}
	return data, nil
}

// weightFiles finds the safetensors files and, for a sharded checkpoint, what
// the index says: tensor name -> file. As in transformers a model.safetensors
// wins over an index.
func (c *Checkpoint) weightFiles() (files []string, index map[string]string, err error) {
	if _, err := fs.Stat(c.fsys, singleFile); err == nil {
		return []string{singleFile}, nil, nil
	}
	text, err := c.readSmall(indexFile, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: neither %s nor %s is here%s", c.name, singleFile, indexFile, c.otherFormats())
	} else if err != nil {
		return nil, nil, err
	}
	index, err = parseIndex(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.path(indexFile), err)
	}
	set := map[string]bool{}
	for _, file := range index {
		set[file] = true
	}
	return slices.Sorted(maps.Keys(set)), index, nil
}

// otherFormats says what to do with weights in a format that is not read.
func (c *Checkpoint) otherFormats() string {
	for _, glob := range []string{"*.bin", "*.pth", "*.pt", "*.safetensors"} {
		if found, _ := fs.Glob(c.fsys, glob); len(found) > 0 {
			if glob == "*.safetensors" {
				return fmt.Sprintf("; there is %s, but no index that says which tensors it holds: download %s too", found[0], indexFile)
			}
			return fmt.Sprintf("; there is %s, a format that is not read: take the checkpoint's safetensors files", found[0])
		}
	}
	return "; take the folder as Hugging Face publishes it"
}

// parseIndex reads the "weight_map" of an index. File names must be plain, so
// that no index leads out of its folder.
func parseIndex(text []byte) (map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	index := map[string]string{}
	found := false
	p := &headerParser{dec: dec}
	err := p.object(func(key string) error {
		if key != "weight_map" {
			var skip json.RawMessage
			return dec.Decode(&skip)
		}
		if found {
			return errors.New("weight_map appears twice")
		}
		found = true
		return p.object(func(tensor string) error {
			t, err := dec.Token()
			if err != nil {
				return err
			}
			file, ok := t.(string)
			if !ok {
				return fmt.Errorf("weight_map: %s: %s where a file's name belongs", quote(tensor), quote(t))
			}
			if !plainName(file) {
				return fmt.Errorf("weight_map: %s: %s is not the plain name of a safetensors file in this folder", quote(tensor), quote(file))
			}
			if _, twice := index[tensor]; twice {
				return fmt.Errorf("weight_map: tensor %s appears twice", quote(tensor))
			}
			index[tensor] = file
			return nil
		})
	})
	switch {
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	case !found || len(index) == 0:
		return nil, errors.New("weight_map is missing or empty")
	}
	return index, nil
}

// plainName reports whether name is a file in the folder itself.
func plainName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && len(name) <= 255 &&
		!strings.ContainsAny(name, "/\\:\x00") && fs.ValidPath(name)
}
