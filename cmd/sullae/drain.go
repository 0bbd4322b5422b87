package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// drainCmd takes a worker out of the group.
type drainCmd struct {
	Worker string `arg:"" help:"Id of the worker, as status shows it."`
	Undo   bool   `help:"Let the worker in again."`
	HTTP   string `name:"http" default:"http://127.0.0.1:8080" placeholder:"URL" help:"A coordinator's HTTP address."`
	accessFlags
	Timeout time.Duration `default:"10s" help:"How long to wait for the answer."`
}

// Run asks the coordinator; requests go on, computed by the other workers.
func (c *drainCmd) Run(ctx context.Context) error {
	base := c.HTTP
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	method := http.MethodPost
	if c.Undo {
		method = http.MethodDelete
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base, "/")+"/cluster/workers/"+url.PathEscape(c.Worker)+"/drain", nil)
	if err != nil {
		return fmt.Errorf("--http %s: %w", c.HTTP, err)
	}
	client, err := c.http()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no coordinator answers at --http %s: %w", c.HTTP, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
