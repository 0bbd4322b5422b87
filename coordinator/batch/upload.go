package batch

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// maxUploads is how many uploads are taken at once.
	maxUploads = 8
	// maxFieldBytes bounds the fields of a form beside the file.
	maxFieldBytes = 1 << 10
	// maxKeep bounds how long a file may ask to be kept.
	maxKeep = 365 * 24 * time.Hour
)

// upload takes a file from a form, straight to the disk.
func (s *Service) upload(st *store, w http.ResponseWriter, r *http.Request) error {
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return apiError{Status: http.StatusTooManyRequests, Code: "too_many_uploads", RetryAfter: 1, Message: fmt.Sprintf("%d uploads are under way; try again", maxUploads)}
	}
	st.mu.Lock()
	many := len(st.files) >= s.cfg.MaxFiles
	st.mu.Unlock()
	if many {
		return apiError{Status: http.StatusInsufficientStorage, Code: "too_many_files", Message: fmt.Sprintf("there are %d files already: delete some", s.cfg.MaxFiles)}
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxFileBytes+1<<20)
	form, err := r.MultipartReader()
	if err != nil {
		return invalid("file", "the body must be a form (multipart/form-data) with the fields purpose and file: %v", err)
	}
	u := &upload{s: s, st: st, keep: s.cfg.KeepFiles}
	defer u.drop()
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = u.take(part)
		}
		if err != nil {
			return uploadError(err)
		}
	}
	f, err := u.file()
	if err != nil {
		return err
	}
	if err := st.addFile(u.path, f, owner(r), st.now().UnixNano()); err != nil {
		return err
	}
	u.path = ""
	writeJSON(w, http.StatusOK, f)
	return nil
}

func uploadError(err error) error {
	var api apiError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &api):
		return err
	case errors.As(err, &tooLarge):
		return apiError{Status: http.StatusRequestEntityTooLarge, Param: "file", Code: "file_too_large", Message: fmt.Sprintf("the form is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, syscall.ENOSPC):
		return apiError{Status: http.StatusInsufficientStorage, Code: "storage_full", Message: "the server's disk is full"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return apiError{Status: http.StatusRequestTimeout, Code: "body_timeout", Message: "the form did not come in time"}
	}
	if _, disk := errors.AsType[*os.PathError](err); disk {
		return err
	}
	return invalid("", "the form can't be read: %v", err)
}

// upload is a file that is coming.
type upload struct {
	s       *Service
	st      *store
	path    string // in tmp; "": none, or taken over
	name    string
	bytes   int64
	purpose string
	keep    time.Duration
}

// drop removes what was not taken over.
func (u *upload) drop() {
	if u.path != "" {
		os.Remove(u.path)
		u.st.use(-u.bytes, 0)
	}
}

// take reads one field.
func (u *upload) take(part *multipart.Part) error {
	name := part.FormName()
	if name == "file" {
		if u.path != "" {
			return invalid("file", "file: given twice")
		}
		return u.copy(part)
	}
	b, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxFieldBytes:
		return invalid(name, "%s: too long", name)
	}
	value := string(b)
	switch name {
	case "purpose":
		u.purpose = value
	case "expires_after[anchor]":
		if value != "created_at" {
			return invalid("expires_after.anchor", "expires_after.anchor: must be created_at, is %q", value)
		}
	case "expires_after[seconds]":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return invalid("expires_after.seconds", "expires_after.seconds: must be a number, is %q", value)
		}
		u.keep, err = keepFor(n)
		return err
	}
	return nil
}

// keepFor checks how long a file is to be kept.
func keepFor(seconds int64) (time.Duration, error) {
	if seconds < 3600 || seconds > int64(maxKeep/time.Second) {
		return 0, invalid("expires_after.seconds", "expires_after.seconds: must be 3600 to %d, is %d", int64(maxKeep/time.Second), seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// copy writes the file to the disk, as far as there is room for it.
func (u *upload) copy(part *multipart.Part) error {
	u.name = part.FileName()
	f, err := os.CreateTemp(filepath.Join(u.st.dir, tmpDir), "upload-")
	if err != nil {
		return err
	}
	u.path = f.Name()
	_, err = io.Copy(io.MultiWriter(roomFor{u}, f), part)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// roomFor counts a file's bytes before they are written.
type roomFor struct{ u *upload }

func (r roomFor) Write(b []byte) (int, error) {
	u := r.u
	if u.bytes+int64(len(b)) > u.s.cfg.MaxFileBytes {
		return 0, apiError{Status: http.StatusRequestEntityTooLarge, Param: "file", Code: "file_too_large", Message: fmt.Sprintf("the file is larger than %d bytes", u.s.cfg.MaxFileBytes)}
	}
	if !u.st.use(int64(len(b)), u.s.cfg.MaxTotalBytes) {
		return 0, apiError{Status: http.StatusInsufficientStorage, Code: "storage_full", Message: "the server has no more room for files: delete some"}
	}
	u.bytes += int64(len(b))
	return len(b), nil
}

// file is the object, if the form was whole.
func (u *upload) file() (File, error) {
	switch {
	case u.path == "":
		return File{}, invalid("file", "file: is missing")
	case u.purpose != "batch":
		return File{}, invalid("purpose", "purpose: must be \"batch\", is %q", u.purpose)
	}
	now := u.st.now()
	return File{ID: newID("file-"), Object: "file", Bytes: u.bytes, CreatedAt: now.Unix(), ExpiresAt: now.Add(u.keep).Unix(),
		Filename: u.name, Purpose: u.purpose, Status: "processed"}, nil
}
