// Package loadtest drives an OpenAI-compatible endpoint and measures what its
// clients see: the time to the first token, between tokens, and to the end, and
// the tokens per second of all together. Loads are open (arrivals as a Poisson
// process, whether the server keeps up or not) or closed (a number of clients,
// each of which sends its next request when the last is answered).
package loadtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Config is a measurement.
type Config struct {
	Base   *url.URL
	Client *http.Client
	Key    string // bearer token; "": none
	Model  string // "": the only one that is served
	Chat   bool   // chat completions instead of completions

	InputLen, OutputLen int // tokens
	Loads               []Load
	// Requests and Duration bound each load: what comes first ends it. One of
	// them may be 0.
	Requests int
	Duration time.Duration
	Warmup   int // requests before the first load, not measured
	Timeout  time.Duration
	Seed     uint64
	// Extra are fields of every request's body.
	Extra map[string]json.RawMessage
	// OnPoint, if set, is told of each load's result as it comes.
	OnPoint func(Point)
}

// Load is one load: exactly one of its fields is set.
type Load struct {
	Rate        float64 `json:"rate,omitempty"`        // arrivals per second
	Concurrency int     `json:"concurrency,omitempty"` // clients
}

// maxInFlight bounds an open load's requests under way: a client that is at its
// own limits measures itself.
const maxInFlight = 4096
