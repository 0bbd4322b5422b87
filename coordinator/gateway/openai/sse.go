package openai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// events writes server-sent events.
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newEvents(w http.ResponseWriter) *events {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream; charset=utf-8")
	head.Set("Cache-Control", "no-cache, no-transform")
	head.Set("X-Accel-Buffering", "no") // nginx would collect them otherwise
	w.WriteHeader(http.StatusOK)
	return &events{w: w, rc: http.NewResponseController(w)}
}

func (e *events) send(v any) error {
	body, err := marshal(v)
	if err != nil {
		panic(err) // our own structs: a bug
	}
	return e.raw(body)
}

func (e *events) raw(body []byte) error {
	b := make([]byte, 0, len(body)+8)
	b = append(b, "data: "...)
	b = append(b, body...)
	b = append(b, "\n\n"...)
	_, err := e.w.Write(b)
	return err
}

func (e *events) flush() error { return e.rc.Flush() }

// seedHeader tells the request's seed, drawn or given.
const seedHeader = "X-Sullae-Seed"

// serveStream streams a request: chunks turns an item into the events that it
// makes, last makes the one after all of them (nil: none). An error before the
// first item is answered with its status; a later one is sent as an event, and
// ends the stream. Events are flushed as soon as nothing more is there to write.
func (h *handler) serveStream(w http.ResponseWriter, r *http.Request, st *gateway.Stream,
	chunks func(gateway.Item) []any, last func() any) {
	it, err := st.Next()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set(seedHeader, strconv.FormatUint(st.Seed(), 10))
	out := newEvents(w)
	for ; err == nil; it, err = st.Next() {
		for _, c := range chunks(it) {
			if out.send(c) != nil {
				return // hung up; closing the stream ends the sequences
			}
		}
		if !st.Pending() && out.flush() != nil {
			return
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return // hung up
	case err != io.EOF:
		if out.send(h.apiError(r, err)) != nil {
			return
		}
	default:
		if v := last(); v != nil && out.send(v) != nil {
			return
		}
	}
	_ = out.raw([]byte("[DONE]"))
	_ = out.flush()
}
