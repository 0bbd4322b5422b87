// Package response remembers how an HTTP request was answered, for what is said of
// it afterwards: logs, metrics, traces.
package response

import "net/http"

// Recorder remembers the status; 0 until there is one. Unwrap lets
// http.ResponseController flush.
type Recorder struct {
	http.ResponseWriter
	Status int
}

// WriteHeader implements http.ResponseWriter.
func (r *Recorder) WriteHeader(status int) {
	if r.Status == 0 {
		r.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap gives the writer that it is around.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
