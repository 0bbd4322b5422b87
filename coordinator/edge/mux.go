package edge

import "net/http"

// Mux is an http.ServeMux that knows its patterns, so that a test can walk all
// routes there are.
type Mux struct {
	http.ServeMux
	patterns []string
}

// Handle registers a handler.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, h)
}

// HandleFunc registers a handler.
func (m *Mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// Patterns are what was registered, in order.
func (m *Mux) Patterns() []string { return m.patterns }
