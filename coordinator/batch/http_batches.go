package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/gateway"
)

const (
	maxBatchBody = 64 << 10

	// A completion window is a duration; OpenAI's own is 24h.
	minWindow, maxWindow = time.Second, 30 * 24 * time.Hour

	maxMetadata, maxMetadataKey, maxMetadataValue = 16, 64, 512
)

// newBatch is a body of POST /v1/batches.
type newBatch struct {
	InputFileID        string            `json:"input_file_id"`
	Endpoint           string            `json:"endpoint"`
	CompletionWindow   string            `json:"completion_window"`
	Metadata           map[string]string `json:"metadata"`
	OutputExpiresAfter *struct {
		Anchor  string `json:"anchor"`
		Seconds int64  `json:"seconds"`
	} `json:"output_expires_after"`
}

func (n *newBatch) check() (window time.Duration, err error) {
	if !slices.Contains(batchfile.Endpoints, n.Endpoint) {
		return 0, invalid("endpoint", "endpoint: must be %s, is %q", strings.Join(batchfile.Endpoints, " or "), n.Endpoint)
	}
	window, err = time.ParseDuration(n.CompletionWindow)
	if err != nil || window < minWindow || window > maxWindow {
		return 0, invalid("completion_window", "completion_window: must be a duration of %v to %v, such as 24h, is %q", minWindow, maxWindow, n.CompletionWindow)
	}
	if len(n.Metadata) > maxMetadata {
		return 0, invalid("metadata", "metadata: at most %d entries, has %d", maxMetadata, len(n.Metadata))
	}
	for k, v := range n.Metadata {
		if len(k) > maxMetadataKey || len(v) > maxMetadataValue {
			return 0, invalid("metadata", "metadata: keys have at most %d bytes, values %d", maxMetadataKey, maxMetadataValue)
		}
	}
	return window, nil
}

func (s *Service) createBatch(st *store, w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBatchBody))
	if err != nil {
		return invalid("", "the body can't be read: %v", err)
	}
	var n newBatch
	if err := json.Unmarshal(body, &n); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return invalid(wrong.Field, "%s: must not be a %s", wrong.Field, wrong.Value)
		}
		return invalid("", "the body is not a JSON object: %v", err)
	}
	window, err := n.check()
	if err != nil {
		return err
	}
	keep := s.cfg.KeepFiles
	if e := n.OutputExpiresAfter; e != nil {
		if keep, err = keepFor(e.Seconds); err != nil {
			return err
		}
	}
	now := st.now()
	b := &batchRecord{
		Order: now.UnixNano(), Owner: owner(r), OutputID: newID("file-"), ErrorsID: newID("file-"), KeepSeconds: int64(keep / time.Second),
		Batch: Batch{ID: newID("batch_"), Object: "batch", Endpoint: n.Endpoint, InputFileID: n.InputFileID, CompletionWindow: n.CompletionWindow,
			Status: validating, CreatedAt: now.Unix(), ExpiresAt: now.Add(window).Unix(), Metadata: n.Metadata},
	}
	if err := s.add(st, b, gateway.CallerOf(r.Context())); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, st.view(b))
	return nil
}

// add enters a new batch, if its file is there and there are not too many.
func (s *Service) add(st *store, b *batchRecord, who gateway.Caller) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	f := st.files[b.Batch.InputFileID]
	if f == nil || !sees(who, f.Owner) {
		e := notFound("file", b.Batch.InputFileID)
		e.Status, e.Param = http.StatusBadRequest, "input_file_id"
		return e
	}
	if f.File.Purpose != "batch" {
		return invalid("input_file_id", "input_file_id: the purpose of %s is %q, not \"batch\"", f.File.ID, f.File.Purpose)
	}
	unfinished := 0
	for _, other := range st.batches {
		if !ended(other.Batch.Status) {
			unfinished++
		}
	}
	if unfinished >= s.cfg.MaxBatches {
		return apiError{Status: http.StatusTooManyRequests, Code: "too_many_batches", RetryAfter: 60, Message: fmt.Sprintf("%d batches are not finished: wait for one, or cancel one", unfinished)}
	}
	if err := st.putLocked(b, *b); err != nil {
		return err
	}
	st.batches[b.Batch.ID] = b
	return nil
}

func (s *Service) listBatches(st *store, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 20, 100)
	if err != nil {
		return err
	}
	var all []batchRecord
	st.mu.Lock()
	for _, b := range st.batches {
		if sees(gateway.CallerOf(r.Context()), b.Owner) {
			all = append(all, *b)
		}
	}
	st.mu.Unlock()
	part, more, err := slicePage(p, all, func(b batchRecord) int64 { return b.Order }, func(b batchRecord) string { return b.Batch.ID })
	if err != nil {
		return err
	}
	var batches []Batch
	for _, b := range part {
		batches = append(batches, b.Batch)
	}
	writeList(w, batches, more, func(b Batch) string { return b.ID })
	return nil
}

func (st *store) batch(r *http.Request) (*batchRecord, error) {
	id := r.PathValue("id")
	st.mu.Lock()
	defer st.mu.Unlock()
	if b := st.batches[id]; b != nil && sees(gateway.CallerOf(r.Context()), b.Owner) {
		return b, nil
	}
	return nil, notFound("batch", id)
}

func (s *Service) getBatch(st *store, w http.ResponseWriter, r *http.Request) error {
	b, err := st.batch(r)
	if err == nil {
		writeJSON(w, http.StatusOK, st.view(b))
	}
	return err
}

// cancelBatch ends a batch's work at once: what is under way is dropped.
func (s *Service) cancelBatch(st *store, w http.ResponseWriter, r *http.Request) error {
	b, err := st.batch(r)
	if err != nil {
		return err
	}
	if err := st.cancel(b); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, st.view(b))
	return nil
}

func (st *store) cancel(b *batchRecord) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch status := b.Batch.Status; status {
	case cancelling, cancelled:
		return nil
	case validating, inProgress:
	default:
		return apiError{Status: http.StatusConflict, Code: "batch_not_cancellable", Message: fmt.Sprintf("the batch is %s already", status)}
	}
	if err := st.updateLocked(b, func(v *Batch) { v.stamp(cancelling, st.now().Unix()) }); err != nil {
		return err
	}
	if b.cancel != nil {
		b.cancel(errCancelled)
	}
	return nil
}
