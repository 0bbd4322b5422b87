package batch

import (
	"net/http"
	"os"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

func (s *Service) listFiles(st *store, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 10_000, 10_000)
	if err != nil {
		return err
	}
	purpose := r.URL.Query().Get("purpose")
	var all []fileRecord
	st.mu.Lock()
	for _, f := range st.files {
		if (purpose == "" || f.File.Purpose == purpose) && sees(gateway.CallerOf(r.Context()), f.Owner) {
			all = append(all, *f)
		}
	}
	st.mu.Unlock()
	part, more, err := slicePage(p, all, func(f fileRecord) int64 { return f.Order }, func(f fileRecord) string { return f.File.ID })
	if err != nil {
		return err
	}
	var files []File
	for _, f := range part {
		files = append(files, f.File)
	}
	writeList(w, files, more, func(f File) string { return f.ID })
	return nil
}

func (st *store) file(r *http.Request) (File, error) {
	id := r.PathValue("id")
	st.mu.Lock()
	defer st.mu.Unlock()
	if f := st.files[id]; f != nil && sees(gateway.CallerOf(r.Context()), f.Owner) {
		return f.File, nil
	}
	return File{}, notFound("file", id)
}

func (s *Service) getFile(st *store, w http.ResponseWriter, r *http.Request) error {
	f, err := st.file(r)
	if err == nil {
		writeJSON(w, http.StatusOK, f)
	}
	return err
}

func (s *Service) deleteFile(st *store, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, err := st.file(r); err != nil {
		return err
	}
	if err := st.deleteFile(id); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": id, "object": "file", "deleted": true})
	return nil
}

func (s *Service) content(st *store, w http.ResponseWriter, r *http.Request) error {
	f, err := st.file(r)
	if err != nil {
		return err
	}
	data, err := os.Open(st.data(f.ID))
	if err != nil {
		return err
	}
	defer data.Close()
	// What clients uploaded must not become a page of this origin.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Unix(f.CreatedAt, 0), data)
	return nil
}
