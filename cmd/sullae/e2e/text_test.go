package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/shard/modeltest"
)

// e2eModel is the golden model with text cases, its tokenizer's files beside it.
func e2eModel(t *testing.T) (dir string, cases []modeltest.E2ECase) {
	t.Helper()
	from, cases := modeltest.E2E(t)
	dir = filepath.Join(t.TempDir(), "exaone3-e2e")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"tokenizer.json", "tokenizer_config.json"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "..", "coordinator", "tokenizer", "testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, cases
}

// TestTextToText: the golden text cases, chat and plain, whole and streamed.
func TestTextToText(t *testing.T) {
	long(t)
	dir, cases := e2eModel(t)
	p := up(t, "--model", dir, "--workers", "2", "--threads", "1")
	for _, g := range cases {
		t.Run(g.Name, func(t *testing.T) {
			path, body := "/v1/completions", map[string]any{"prompt": g.Prompt}
			if g.Kind == "chat" {
				path, body = "/v1/chat/completions", map[string]any{"messages": g.Messages}
			}
			for k, v := range map[string]any{"temperature": 0, "max_tokens": g.MaxTokens, "return_token_ids": true} {
				body[k] = v
			}
			text, ids, prompt, finish := p.text(t, path, body)
			if text != g.Text || !slices.Equal(ids, g.GeneratedIDs) || finish != g.FinishReason {
				t.Errorf("got %q %v %s, want %q %v %s", text, ids, finish, g.Text, g.GeneratedIDs, g.FinishReason)
			}
			if !slices.Equal(prompt, g.PromptIDs) {
				t.Errorf("prompt ids %v, want %v", prompt, g.PromptIDs)
			}
			pieces, streamed := p.streamed(t, path, body)
			if strings.Join(pieces, "") != g.Text || !slices.Equal(streamed, g.GeneratedIDs) {
				t.Errorf("streamed %q %v, want %q %v", pieces, streamed, g.Text, g.GeneratedIDs)
			}
			body["ignore_eos"] = true
			if text, ids, _, _ := p.text(t, path, body); text != g.IgnoreEOSText || !slices.Equal(ids, g.IgnoreEOSIDs) {
				t.Errorf("ignoring the end: %q %v, want %q %v", text, ids, g.IgnoreEOSText, g.IgnoreEOSIDs)
			}
		})
	}
}

// choice is a choice of either endpoint, whole or a streamed chunk.
type choice struct {
	Text    string `json:"text"`
	Message struct {
		Content string `json:"content"`
	} `json:"message"`
	Delta struct {
		Content string `json:"content"`
	} `json:"delta"`
	TokenIDs       []int32 `json:"token_ids"`
	PromptTokenIDs []int32 `json:"prompt_token_ids"`
	FinishReason   string  `json:"finish_reason"`
}

type answer struct {
	Choices        []choice `json:"choices"`
	PromptTokenIDs []int32  `json:"prompt_token_ids"`
}

func (p *process) text(t *testing.T, path string, body map[string]any) (text string, ids, prompt []int32, finish string) {
	t.Helper()
	var a answer
	if err := p.post(path, body, &a); err != nil {
		t.Fatal(err)
	}
	c := a.Choices[0]
	prompt = c.PromptTokenIDs
	if prompt == nil {
		prompt = a.PromptTokenIDs
	}
	return c.Text + c.Message.Content, c.TokenIDs, prompt, c.FinishReason
}

func (p *process) streamed(t *testing.T, path string, body map[string]any) (pieces []string, ids []int32) {
	t.Helper()
	b := map[string]any{"stream": true}
	for k, v := range body {
		b[k] = v
	}
	raw, _ := json.Marshal(b)
	res, err := http.Post(p.http+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	done := false
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		data, ok := strings.CutPrefix(s.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			done = true
			continue
		}
		var a answer
		if err := json.Unmarshal([]byte(data), &a); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		for _, c := range a.Choices {
			pieces = append(pieces, c.Text+c.Delta.Content)
			ids = append(ids, c.TokenIDs...)
		}
	}
	if !done {
		t.Error("the stream ends without [DONE]")
	}
	return pieces, ids
}
