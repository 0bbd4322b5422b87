package batch

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/sullae/sullae/coordinator/edge"
)

// Wrap serves files and batches, and hands everything else to next. It counts
// the requests for tokens that pass: batches yield to them.
func (s *Service) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		switch {
		case under(p, "/v1/files"), under(p, "/v1/batches"):
			s.routes.ServeHTTP(w, r)
			return
		case r.Method == http.MethodPost && (p == "/v1/completions" || p == "/v1/chat/completions"):
			defer s.Interactive()()
		}
		next.ServeHTTP(w, r)
	})
}

// Patterns are the routes that Wrap adds.
func (s *Service) Patterns() []string { return s.routes.Patterns() }

func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// Interactive counts one more interactive request, until the function that it
// gives is called.
func (s *Service) Interactive() (done func()) {
	s.interactive.Add(1)
	return func() { s.interactive.Add(-1) }
}

func (s *Service) mux() *edge.Mux {
	mux := new(edge.Mux)
	route := func(pattern string, serve func(*store, http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			st, err := s.ready(r)
			if err == nil {
				err = serve(st, w, r)
			}
			if err != nil {
				s.fail(w, r, err)
			}
		})
	}
	route("POST /v1/files", s.upload)
	route("GET /v1/files", s.listFiles)
	route("GET /v1/files/{id}", s.getFile)
	route("DELETE /v1/files/{id}", s.deleteFile)
	route("GET /v1/files/{id}/content", s.content)
	route("POST /v1/batches", s.createBatch)
	route("GET /v1/batches", s.listBatches)
	route("GET /v1/batches/{id}", s.getBatch)
	route("POST /v1/batches/{id}/cancel", s.cancelBatch)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, apiError{Status: http.StatusNotFound, Code: "route_not_found", Message: "there is nothing at " + r.Method + " " + r.URL.Path})
	})
	return mux
}

// ready is the store, or why there is none.
func (s *Service) ready(r *http.Request) (*store, error) {
	if s.cfg.Dir == "" {
		return nil, apiError{Status: http.StatusNotImplemented, Code: "batches_off",
			Message: "files and batches are turned off here: start the coordinator with --batch-dir DIR, or use the command \"sullae batch\""}
	}
	// A web page may send forms to a server on its reader's own machine without
	// asking first. What changes something is not for pages of other origins.
	if site := r.Header.Get("Sec-Fetch-Site"); r.Method == http.MethodPost && (site != "" && site != "same-origin" || site == "" && r.Header.Get("Origin") != "") {
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
			return nil, apiError{Status: http.StatusForbidden, Code: "cross_origin", Message: "a page of another origin can't do this"}
		}
	}
	if st := s.store.Load(); st != nil {
		return st, nil
	}
	return nil, apiError{Status: http.StatusServiceUnavailable, Code: "not_serving", RetryAfter: 1,
		Message: "this coordinator does not have the folder of batches (yet)"}
}

// readPage reads a list's parameters.
func readPage(r *http.Request, limit, most int) (page, error) {
	q := r.URL.Query()
	p := page{after: q.Get("after"), limit: limit, asc: q.Get("order") == "asc"}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return p, invalid("limit", "limit: must be 1 to %d, is %q", most, v)
		}
		p.limit = n
	}
	if o := q.Get("order"); o != "" && o != "asc" && o != "desc" {
		return p, invalid("order", "order: must be asc or desc, is %q", o)
	}
	return p, nil
}

// writeList writes a part of a list of objects.
func writeList[T any](w http.ResponseWriter, part []T, more bool, id func(T) string) {
	list := struct {
		Object  string  `json:"object"`
		Data    []T     `json:"data"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
		HasMore bool    `json:"has_more"`
	}{Object: "list", Data: part, HasMore: more}
	if list.Data == nil {
		list.Data = []T{}
	}
	if n := len(part); n > 0 {
		first, last := id(part[0]), id(part[n-1])
		list.FirstID, list.LastID = &first, &last
	}
	writeJSON(w, http.StatusOK, list)
}
