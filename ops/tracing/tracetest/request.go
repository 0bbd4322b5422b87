package tracetest

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Parent is the caller's span, under which a request's trace begins.
const Parent = "00000000000000aa"

// Traceparent is a W3C header of a caller that wants its request recorded, or not.
func Traceparent(trace string, recorded bool) string {
	return fmt.Sprintf("00-%s-%s-%02x", trace, Parent, map[bool]int{true: 1}[recorded])
}

// under says below which span each of a request's spans belongs.
var under = map[string]string{"rank step": "step", "step": "sullae.request", "queue": "sullae.request", "prefill": "sullae.request", "decode": "sullae.request"}

// Request says what is missing from one request's trace: the call (a span named
// call) under Parent, the request with its queue, prefill, decode and at least as
// many steps, and each rank's part of each step, from a process of its own.
func Request(spans []Span, call string, ranks, steps int) error {
	byID, names, parts, process := map[string]Span{}, map[string]int{}, map[int64]int{}, map[string]int64{}
	var problems []error
	for _, s := range spans {
		byID[string(s.GetSpanId())] = s
		names[s.GetName()]++
		for _, a := range s.GetAttributes() {
			if a.GetKey() != "sullae.rank" {
				continue
			}
			rank := a.GetValue().GetIntValue()
			parts[rank]++
			if r, ok := process[s.Instance]; s.Instance == "" || ok && r != rank {
				problems = append(problems, fmt.Errorf("instance %q speaks for the ranks %d and %d", s.Instance, r, rank))
			}
			process[s.Instance] = rank
		}
	}
	for name, least := range map[string]int{call: 1, "sullae.request": 1, "queue": 1, "prefill": 1, "decode": 1, "step": steps, "rank step": steps * ranks} {
		if names[name] < least {
			problems = append(problems, fmt.Errorf("%d spans %q, want %d", names[name], name, least))
		}
	}
	for r := range int64(ranks) {
		if parts[r] != names["step"] {
			problems = append(problems, fmt.Errorf("rank %d has a part of %d steps out of %d", r, parts[r], names["step"]))
		}
	}
	for _, s := range spans {
		want, ok := under[s.GetName()]
		if s.GetName() == "sullae.request" {
			want, ok = call, true
		}
		if parent := byID[string(s.GetParentSpanId())]; ok && parent.GetName() != want {
			problems = append(problems, fmt.Errorf("%s is under %q, not %s", s.GetName(), parent.GetName(), want))
		}
		if s.GetName() == call && hex.EncodeToString(s.GetParentSpanId()) != Parent {
			problems = append(problems, fmt.Errorf("%s is not under its caller's span", call))
		}
	}
	return errors.Join(problems...)
}
