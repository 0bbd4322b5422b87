package loadtest

import (
	"math"
	"slices"
	"time"
)

// Report is a whole measurement.
type Report struct {
	Target    string    `json:"target"`
	Model     string    `json:"model"`
	Endpoint  string    `json:"endpoint"`
	InputLen  int       `json:"input_len"`
	OutputLen int       `json:"output_len"`
	TokenIDs  bool      `json:"token_id_prompts"`
	Seed      uint64    `json:"seed"`
	Started   time.Time `json:"started"`
	Points    []Point   `json:"points"`
}

// Point is what a load led to. Times are in seconds.
type Point struct {
	Load
	Requests int            `json:"requests"`
	OK       int            `json:"ok"`
	Errors   map[string]int `json:"errors,omitempty"` // by status, or kind
	// Seconds is from the first request to the last one's end.
	Seconds      float64 `json:"seconds"`
	InputTokens  int     `json:"input_tokens"` // of requests that succeeded
	OutputTokens int     `json:"output_tokens"`

	RequestsPerSecond float64 `json:"requests_per_second"`
	InputPerSecond    float64 `json:"input_tokens_per_second"`
	OutputPerSecond   float64 `json:"output_tokens_per_second"`

	// TTFT is from when a request was due to its first token.
	TTFT Spread `json:"ttft_seconds"`
	// ITL is between one event with tokens and the next of its stream.
	ITL Spread `json:"itl_seconds"`
	// TPOT is a stream's mean time per token after the first.
	TPOT Spread `json:"tpot_seconds"`
	// E2E is from when a request was due to its end.
	E2E Spread `json:"e2e_seconds"`
}

// Spread is how figures are distributed. All are 0 where there is none.
type Spread struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func spread(all []float64) (s Spread) {
	if len(all) == 0 {
		return s
	}
	slices.Sort(all)
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return Spread{sum / float64(len(all)), percentile(all, .5), percentile(all, .9), percentile(all, .99), all[len(all)-1]}
}

// percentile is the nearest rank: a figure that did occur.
func percentile(sorted []float64, p float64) float64 {
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}

func summarize(l Load, records []record) Point {
	p := Point{Load: l, Requests: len(records)}
	var ttft, itl, tpot, e2e []float64
	var first, last time.Time
	for _, r := range records {
		if first.IsZero() || r.due.Before(first) {
			first = r.due
		}
		if r.end.After(last) {
			last = r.end
		}
		if r.fail != "" {
			if p.Errors == nil {
				p.Errors = map[string]int{}
			}
			p.Errors[r.fail]++
			continue
		}
		p.OK++
		p.InputTokens += r.input
		p.OutputTokens += r.tokens
		e2e = append(e2e, r.end.Sub(r.due).Seconds())
		if len(r.events) == 0 {
			continue // only the usage told of tokens
		}
		ttft = append(ttft, r.events[0].Sub(r.due).Seconds())
		for i := 1; i < len(r.events); i++ {
			itl = append(itl, r.events[i].Sub(r.events[i-1]).Seconds())
		}
		if r.tokens > 1 {
			tpot = append(tpot, r.events[len(r.events)-1].Sub(r.events[0]).Seconds()/float64(r.tokens-1))
		}
	}
	if p.Seconds = last.Sub(first).Seconds(); p.Seconds > 0 {
		p.RequestsPerSecond = float64(p.OK) / p.Seconds
		p.InputPerSecond = float64(p.InputTokens) / p.Seconds
		p.OutputPerSecond = float64(p.OutputTokens) / p.Seconds
	}
	p.TTFT, p.ITL, p.TPOT, p.E2E = spread(ttft), spread(itl), spread(tpot), spread(e2e)
	return p
}
