package openai

import "net/http"

type probe struct {
	Status string `json:"status"`
}

// live says only that this process answers: it must not depend on anybody else,
// or a probe would restart what is well.
func (h *handler) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, probe{"ok"})
}

// ready says that a step can be run now.
func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	if err := h.svc.Ready(); err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, probe{"ok"})
}

func (h *handler) showVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Version string `json:"version"`
	}{h.version})
}
