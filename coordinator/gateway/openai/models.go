package openai

import (
	"net/http"

	"github.com/sullae/sullae/coordinator/gateway"
)

type modelObject struct {
	ID          string `json:"id"`
	Object      string `json:"object"` // "model"
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	MaxModelLen int    `json:"max_model_len"`
}

func wireModel(m gateway.Model) modelObject {
	return modelObject{ID: m.Name, Object: "model", Created: m.Created.Unix(), OwnedBy: "sullae", MaxModelLen: m.MaxLen}
}

func (h *handler) listModels(w http.ResponseWriter, _ *http.Request) {
	list := struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{Object: "list", Data: []modelObject{}}
	for _, m := range h.svc.Models() {
		list.Data = append(list.Data, wireModel(m))
	}
	writeJSON(w, http.StatusOK, list)
}

func (h *handler) getModel(w http.ResponseWriter, r *http.Request) {
	// A name may have slashes. An empty one is not the served model here.
	m, err := h.svc.Model(r.PathValue("id"))
	if r.PathValue("id") == "" {
		err = &gateway.ModelNotFoundError{Served: []string{m.Name}}
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, wireModel(m))
}
