package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/status"
)

const (
	statusPath    = "/cluster/status"
	statusTimeout = 5 * time.Second
)

// statusCmd is `sullae status`.
type statusCmd struct {
	HTTP string `name:"http" default:"http://127.0.0.1:8080" placeholder:"URL" help:"A coordinator's HTTP address, with or without http:// (${default})."`
	accessFlags
	JSON  bool `name:"json" env:"-" help:"Print the status as the coordinator gives it."`
	Watch bool `env:"-" help:"Show it again every second, until Ctrl-C."`
}

// Help is shown below the flags.
func (statusCmd) Help() string {
	return "The exit status is 0 where the cluster serves requests, 1 with the reason where it does not."
}

// Run shows the status.
func (c *statusCmd) Run(ctx context.Context) error {
	return c.run(ctx, standard(), time.Second)
}

func (c *statusCmd) run(ctx context.Context, std streams, every time.Duration) error {
	target, err := statusURL(c.HTTP)
	if err != nil {
		return err
	}
	client, err := c.http()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if !c.Watch {
		return c.once(ctx, client, std, target, "")
	}
	clear := ""
	if screen.IsTerminal(std.out) {
		clear = "\x1b[H\x1b[2J"
	}
	for {
		// A cluster that doesn't serve, or isn't there, is what a watcher waits for.
		if err := c.once(ctx, client, std, target, clear); err != nil && ctx.Err() == nil {
			if _, err := fmt.Fprintln(std.out, screen.Printable(err.Error())); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// once fetches the status and prints it behind clear. Its error says why the
// cluster doesn't serve.
func (c *statusCmd) once(ctx context.Context, client *http.Client, std streams, target, clear string) error {
	body, err := fetchStatus(ctx, client, target)
	if err != nil {
		io.WriteString(std.out, clear)
		return err
	}
	var s status.Cluster
	if err := json.Unmarshal(body, &s); err != nil || s.Group.Phase == "" {
		io.WriteString(std.out, clear)
		return fmt.Errorf("%s answered, but not with a cluster's status: give a coordinator's HTTP address with --http", target)
	}
	text := strings.TrimRight(string(body), "\n") + "\n"
	if !c.JSON {
		text = statusView(&s, screen.For(std.out))
	}
	if _, err := io.WriteString(std.out, clear+text); err != nil {
		return err
	}
	return servingError(&s)
}

// statusURL completes an address, as "up" and "coordinator" take it, to a URL.
func statusURL(addr string) (string, error) {
	u, err := httpBase("--http", addr)
	if err != nil {
		return "", err
	}
	return u.JoinPath(statusPath).String(), nil
}

// fetchStatus is the body of the answer.
func fetchStatus(ctx context.Context, client *http.Client, target string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	body, err := ask(limited, client, http.MethodGet, target, http.StatusOK)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return body, err
}

// servingError says why requests are not served, nil where they are.
func servingError(s *status.Cluster) error {
	if s.Group.Phase == "serving" {
		return nil
	}
	reason := s.Group.Phase
	if s.Group.Reason != "" {
		reason += ": " + screen.Printable(s.Group.Reason)
	}
	return fmt.Errorf("the cluster is not serving: %s", reason)
}
