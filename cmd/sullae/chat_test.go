package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
)

func runChat(t *testing.T, fake *fakecluster.Cluster, args, in string) (string, error) {
	t.Helper()
	c, err := parseClient(t, strings.TrimSpace("chat --grpc "+fake.Start(t)+" "+args))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = c.Chat.run(t.Context(), streams{strings.NewReader(in), &out, io.Discard})
	return out.String(), err
}

func TestChatScript(t *testing.T) {
	fake := fakecluster.Echo()
	got, err := runChat(t, fake, "--system 짧게 --max-tokens 9", "대한민국의 수도는?\n그럼 일본은?\n")
	if want := "su: 대한민국의 수도는?\nsuau: 그럼 일본은?\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	r := fake.Chatted()[1]
	if r.GetModel() != "echo" || r.GetSampling().Temperature == nil || r.GetSampling().GetTemperature() != 0 || r.GetStopping().GetMaxTokens() != 9 {
		t.Errorf("sent %v", r)
	}
}

func TestChatErrors(t *testing.T) {
	noTokenizer, noTemplate := fakecluster.Echo(), fakecluster.Echo()
	noTokenizer.Models[0].HasTokenizer = false
	noTemplate.Models[0].HasChatTemplate = false
	for _, c := range []struct {
		fake       *fakecluster.Cluster
		args, want string
	}{
		{noTokenizer, "", "has no tokenizer"},
		{noTemplate, "", "has no chat template"},
		{fakecluster.Echo(), "--model y", "--model y: not served"},
	} {
		if _, err := runChat(t, c.fake, c.args, "안녕\n"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
