package e2e

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// TestFailover: the leading coordinator is killed. The one that stands by leads,
// the workers keep their processes and their shares, and the bits are the same.
func TestFailover(t *testing.T) {
	long(t)
	addr := startEtcd(t)
	coordinator := func(id, grpc string) *process {
		p := launch(t, "coordinator", "--id", id, "--http", "127.0.0.1:0", "--grpc", grpc, "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--etcd", addr, "--workers", "2")
		p.grpc = grpc
		return p
	}
	first := coordinator("first", "127.0.0.1:0")
	for i := range 2 {
		worker(t, "--id", fmt.Sprint("w", i), "--etcd", addr)
	}
	first.awaitReady()
	want, err := first.stream(4)
	if err != nil {
		t.Fatal(err)
	}
	before, err := first.status()
	if err != nil {
		t.Fatal(err)
	}
	second := coordinator("second", "127.0.0.1:"+freePort(t))
	eventually(t, 10*time.Second, "the second has started", func() bool { return second.logged("standing by") })

	// A client that knows both coordinators is in the middle of an answer.
	c, err := client.Dial(first.grpc + "," + second.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(during func()) (ids []int32, text string) {
		t.Helper()
		temperature, tokens, n := float32(1), int32(300), int32(2)
		stream, err := c.Generate(t.Context(), &sullaev1.GenerateRequest{
			Prompt:   &sullaev1.GenerateRequest_Text{Text: "서울 "},
			Sampling: &sullaev1.Sampling{Temperature: &temperature, Seed: proto.Uint64(5)},
			Stopping: &sullaev1.Stopping{MaxTokens: &tokens, IgnoreEos: true}, N: &n,
		})
		if err != nil {
			t.Fatal(err)
		}
		deltas := 0
		for d, err := range stream.All() {
			if err != nil {
				t.Fatalf("after %d tokens: %v", len(ids), err)
			}
			if d.Index == 0 {
				ids, text = append(ids, d.TokenIds...), text+d.Text
			}
			if deltas++; deltas == 60 && during != nil {
				during()
			}
		}
		return ids, text
	}
	wantIDs, wantText := ask(nil)
	var killed time.Time
	gotIDs, gotText := ask(func() {
		first.stop(syscall.SIGKILL)
		killed = time.Now()
	})
	if !slices.Equal(gotIDs, wantIDs) || gotText != wantText {
		t.Errorf("the resumed stream has %d tokens and %q, undisturbed %d and %q", len(gotIDs), gotText, len(wantIDs), wantText)
	}
	second.awaitReady()
	t.Logf("the second serves %.1f s after the first was killed", time.Since(killed).Seconds())
	got, err := second.stream(4)
	if err != nil || !reflect.DeepEqual(got.Choices, want.Choices) {
		t.Errorf("after failover: %v, or other bits", err)
	}
	after, err := second.status()
	if err != nil {
		t.Fatal(err)
	}
	if after.Group.Epoch <= before.Group.Epoch || after.Coordinator != "second" {
		t.Errorf("epoch %d of %s, before %d", after.Group.Epoch, after.Coordinator, before.Group.Epoch)
	}
	for i, w := range before.Workers {
		if !alive(w.PID) || after.Workers[i].ID != w.ID {
			t.Errorf("rank %d was %s and is %s", i, w.ID, after.Workers[i].ID)
		}
	}
}

// logged reports whether the process has logged a message.
func (p *process) logged(message string) bool { return strings.Contains(p.log.String(), message) }
