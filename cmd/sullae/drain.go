package main

import (
	"context"
	"net/http"
	"net/url"
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
	base, err := httpBase("--http", c.HTTP)
	if err != nil {
		return err
	}
	client, err := c.http()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	method := http.MethodPost
	if c.Undo {
		method = http.MethodDelete
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	_, err = ask(ctx, client, method, base.JoinPath("/cluster/workers", url.PathEscape(c.Worker), "drain").String(), http.StatusNoContent)
	return err
}
