package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	"github.com/sullae/sullae/coordinator/status"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// checkCmd asks a cluster for a little of everything: `helm test` runs it.
type checkCmd struct {
	HTTP    string        `name:"http" default:"http://127.0.0.1:8080" placeholder:"URL" help:"A coordinator's HTTP address (${default})."`
	GRPC    string        `name:"grpc" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Its gRPC address (${default})."`
	Workers int           `env:"-" default:"1" placeholder:"N" help:"The least number of workers that must share the model (${default})."`
	Wait    time.Duration `env:"-" placeholder:"TIME" help:"How long to try until everything is well; default: once."`
	accessFlags
}

// Help is shown below the flags.
func (checkCmd) Help() string {
	return `Checks that the cluster serves with as many workers as it should, says so to
gRPC's health protocol, and gives the same tokens for one request over HTTP and
as a gRPC stream. The exit status is 0 where all of that holds.`
}

// checkPrompt has tokens of every vocabulary; nothing depends on what they mean.
var checkPrompt = []int32{3, 4, 5}

const checkTokens = 16

// Run checks.
func (c *checkCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *checkCmd) run(ctx context.Context, std streams) error {
	deadline := time.Now().Add(c.Wait)
	for {
		report, err := c.once(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			_, werr := io.WriteString(std.out, report)
			return errors.Join(err, werr)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Second, c.Wait)):
		}
	}
}

// once checks everything; report has a line for each thing that is well.
func (c *checkCmd) once(ctx context.Context) (report string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	defer func() { report = out.String() }()
	web, err := c.accessFlags.http()
	if err != nil {
		return "", err
	}
	defer web.CloseIdleConnections()
	model, err := c.status(ctx, web, &out)
	if err != nil {
		return "", err
	}
	opts, err := c.dial()
	if err != nil {
		return "", err
	}
	cluster, err := remote.Dial(ctx, c.GRPC, opts...)
	if err != nil {
		return "", err
	}
	defer cluster.Close()
	health, err := healthv1.NewHealthClient(cluster.Conn()).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return "", cluster.Explain(err)
	}
	if health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return "", fmt.Errorf("--grpc %s: health is %v", c.GRPC, health.GetStatus())
	}
	fmt.Fprintf(&out, "ok  health: %v\n", health.GetStatus())
	plain, err := c.complete(ctx, web, model)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "ok  HTTP completion: %d tokens\n", len(plain))
	streamed, err := c.stream(ctx, cluster, model)
	if err != nil {
		return "", err
	}
	if !slices.Equal(plain, streamed) {
		return "", fmt.Errorf("one request, two answers: HTTP gives the tokens %v, gRPC %v", plain, streamed)
	}
	fmt.Fprintf(&out, "ok  gRPC stream: the same %d tokens\n", len(streamed))
	return "", nil
}

// status checks the group, and returns the model's name.
func (c *checkCmd) status(ctx context.Context, web *http.Client, out io.Writer) (model string, err error) {
	target, err := statusURL(c.HTTP)
	if err != nil {
		return "", err
	}
	body, err := fetchStatus(ctx, web, target)
	if err != nil {
		return "", err
	}
	var s status.Cluster
	if err := json.Unmarshal(body, &s); err != nil {
		return "", fmt.Errorf("%s: %w", target, err)
	}
	if err := servingError(&s); err != nil {
		return "", err
	}
	if s.Group.WorldSize < c.Workers {
		return "", fmt.Errorf("%d workers share the model, at least %d should (--workers)", s.Group.WorldSize, c.Workers)
	}
	fmt.Fprintf(out, "ok  status: %s serves %s with %d workers\n", s.Coordinator, s.Model.Name, s.Group.WorldSize)
	return s.Model.Name, nil
}

// complete is one completion over HTTP.
func (c *checkCmd) complete(ctx context.Context, web *http.Client, model string) ([]int32, error) {
	base, err := httpBase("--http", c.HTTP)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"model": model, "prompt": checkPrompt, "max_tokens": checkTokens, "temperature": 0, "ignore_eos": true, "return_token_ids": true})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/v1/completions").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Choices []struct {
			TokenIDs []int32 `json:"token_ids"`
		} `json:"choices"`
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil || len(answer.Choices) != 1 {
		return nil, fmt.Errorf("a completion over HTTP: %s: %s", res.Status, bytes.TrimSpace(text))
	}
	return answer.Choices[0].TokenIDs, nil
}

// stream is the same request as a gRPC stream.
func (c *checkCmd) stream(ctx context.Context, cluster *remote.Cluster, model string) (ids []int32, err error) {
	temperature, tokens := float32(0), int32(checkTokens)
	s, err := cluster.Generate(ctx, &sullaev1.GenerateRequest{
		Model: model, Prompt: &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: checkPrompt}},
		Sampling: &sullaev1.Sampling{Temperature: &temperature}, Stopping: &sullaev1.Stopping{MaxTokens: &tokens, IgnoreEos: true},
	})
	if err != nil {
		return nil, cluster.Explain(err)
	}
	defer s.Close()
	for d, err := range s.All() {
		if err != nil {
			return nil, cluster.Explain(err)
		}
		ids = append(ids, d.GetTokenIds()...)
	}
	return ids, nil
}
