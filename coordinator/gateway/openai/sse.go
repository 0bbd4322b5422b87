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
	w      http.ResponseWriter
	rc     *http.ResponseController
	buf    []byte // of one event
	pieces pieces
}

func newEvents(w http.ResponseWriter) *events {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream; charset=utf-8")
	head.Set("Cache-Control", "no-cache, no-transform")
	head.Set("X-Accel-Buffering", "no") // nginx would collect them otherwise
	w.WriteHeader(http.StatusOK)
	return &events{w: w, rc: http.NewResponseController(w), pieces: pieces{}}
}

func (e *events) send(v any) error {
	body, err := marshal(v)
	if err != nil {
		panic(err) // our own structs: a bug
	}
	return e.raw(body)
}

func (e *events) raw(body []byte) error {
	return e.write(append(append(e.buf[:0], "data: "...), body...))
}

// write ends an event, and sends it.
func (e *events) write(event []byte) error {
	e.buf = append(event, "\n\n"...)
	_, err := e.w.Write(e.buf)
	return err
}

// item sends the events of an item, which chunks makes.
func (e *events) item(it gateway.Item, chunks func(gateway.Item) []any) error {
	if p := e.pieces.of(it.Delta, chunks); p != nil {
		return e.write(p.append(append(e.buf[:0], "data: "...), it.Delta.Text, it.Delta.TokenIDs))
	}
	for _, c := range chunks(it) {
		if err := e.send(c); err != nil {
			return err
		}
	}
	return nil
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
		if out.item(it, chunks) != nil {
			return // hung up; closing the stream ends the sequences
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
