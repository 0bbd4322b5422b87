package batch

import (
	"bytes"
	"context"
	"net/http"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/batch/runner"
)

// call has one line answered by the handler that answers clients.
func (s *Service) call(ctx context.Context, req batchfile.Request) (rep runner.Reply, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, bytes.NewReader(req.At(s.cfg.Priority)))
	if err != nil {
		return rep, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.RequestURI = req.URL
	r.RemoteAddr = "batch"
	w := &answerWriter{header: http.Header{}}
	defer func() {
		// A handler that gives up on a connection panics so; there is none here.
		if p := recover(); p == http.ErrAbortHandler {
			rep = runner.Reply{Status: http.StatusInternalServerError, Header: w.header, Body: []byte(`{"error":{"message":"the answer broke off","type":"server_error","param":null,"code":"internal_error"}}`)}
		} else if p != nil {
			panic(p)
		}
	}()
	s.cfg.API.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return runner.Reply{Status: w.status, Header: w.header, Body: w.body.Bytes()}, nil
}

// answerWriter is an http.ResponseWriter that keeps the answer.
type answerWriter struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
