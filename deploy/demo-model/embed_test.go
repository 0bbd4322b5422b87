package demomodel

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"testing"
)

func TestFilesAreTheModelFolder(t *testing.T) {
	for _, name := range []string{"config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"} {
		info, err := fs.Stat(Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 4_200_000 {
			t.Errorf("%s has %d bytes; it goes into every binary, so keep it below 4.2 MB", name, info.Size())
		}
	}
}

// The lines are read by tests of other packages; a malformed one should fail here first.
func TestHeldBackLinesAreComplete(t *testing.T) {
	f, err := os.Open("heldback.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		var c struct {
			Category, Lang, Answer string
			Messages               []struct{ Role, Content string }
		}
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		if c.Category == "" || c.Lang == "" || c.Answer == "" || len(c.Messages) == 0 || c.Messages[len(c.Messages)-1].Role != "user" {
			t.Errorf("line %d is incomplete: %s", n+1, s.Text())
		}
	}
	if n < 300 {
		t.Errorf("only %d held-back cases", n)
	}
}
