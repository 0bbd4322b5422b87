package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestCompose: the compose files' commands are this binary's.
func TestCompose(t *testing.T) {
	files, err := filepath.Glob("../../deploy/compose/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var compose struct {
			Services map[string]struct {
				Command     []string          `json:"command"`
				Environment map[string]string `json:"environment"`
				Healthcheck struct {
					Test []string `json:"test"`
				} `json:"healthcheck"`
			} `json:"services"`
		}
		if err := yaml.Unmarshal(raw, &compose); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, s := range compose.Services {
			if name == "etcd" {
				continue
			}
			commands := [][]string{s.Command}
			if len(s.Healthcheck.Test) > 2 {
				commands = append(commands, s.Healthcheck.Test[2:])
			}
			for k, v := range s.Environment {
				t.Setenv(k, v)
			}
			for _, args := range commands {
				if err := parses(args); err != nil {
					t.Errorf("%s: %s: %v: %v", file, name, args, err)
				}
			}
		}
	}
	if parses([]string{"worker", "--no-such-flag"}) == nil {
		t.Error("anything is taken")
	}
}

func parses(args []string) error {
	ctx := context.Background()
	p, err := newParser(ctx, &cli{})
	if err != nil {
		return err
	}
	_, err = p.Parse(args)
	return err
}
