package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/sullae/sullae/proto/client"
)

// flags are the flags that set fields of a request; a field without one is named
// as the message names it.
var flags = map[string]string{
	"sampling.temperature": "--temperature",
	"sampling.top_p":       "--top-p",
	"sampling.top_k":       "--top-k",
	"sampling.seed":        "--seed",
	"stopping.max_tokens":  "--max-tokens",
	"stopping.stop":        "--stop",
	"output.logprobs":      "--logprobs",
	"token_ids.ids":        "--token-ids",
	"text":                 "the prompt",
	"n":                    "--n",
	"messages":             "the conversation",
}

// Explain turns a call's error into one for the command's user.
func (c *Cluster) Explain(err error) error {
	var e *client.Error
	if !errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return err
	}
	again := ""
	if e.RetryAfter > 0 {
		again = fmt.Sprintf("; try again in %v", e.RetryAfter)
	}
	switch e.Code {
	case codes.InvalidArgument:
		if len(e.Violations) > 0 {
			var all []string
			for _, v := range e.Violations {
				name, ok := flags[v.Field]
				if !ok {
					name = v.Field
				}
				all = append(all, name+": "+v.Problem)
			}
			return errors.New(strings.Join(all, "; "))
		}
		return errors.New(e.Message)
	case codes.Unavailable:
		if e.Reason == "" { // gRPC's own words about the connection
			message := e.Message
			if strings.Contains(message, "connection refused") {
				message = "connection refused"
			}
			if strings.Contains(message, "error reading server preface") {
				message += " (where the coordinator has --tls-cert, --tls is needed here)"
			}
			return fmt.Errorf("the connection to %s failed: %s; is it a coordinator's gRPC address (--grpc), and does it still run?", c.Addr, message)
		}
		return fmt.Errorf("the cluster at %s is not serving now: %s%s; \"sullae status\" tells more", c.Addr, e.Message, again)
	case codes.ResourceExhausted:
		return fmt.Errorf("the cluster at %s is busy: %s%s", c.Addr, e.Message, again)
	case codes.Unauthenticated:
		return fmt.Errorf("the cluster at %s: %s; give one with --api-key, or as SULLAE_API_KEY", c.Addr, e.Message)
	case codes.NotFound, codes.FailedPrecondition:
		return errors.New(e.Message)
	}
	if e.RequestID != "" && !strings.Contains(e.Message, e.RequestID) {
		return fmt.Errorf("%s: %s (request %s)", e.Code, e.Message, e.RequestID)
	}
	return fmt.Errorf("%s: %s", e.Code, e.Message)
}
