package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// TestReadme: the table is that of values.yaml.
func TestReadme(t *testing.T) {
	old, err := os.ReadFile(root + "/" + chart + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := readme(root, string(old))
	if err != nil {
		t.Fatal(err)
	}
	if text != string(old) {
		t.Error("README.md is not that of values.yaml: go run ./deploy/helm/valuesdoc")
	}
}

func values(t *testing.T) []value {
	raw, err := os.ReadFile(root + "/" + chart + "values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDocumented: every value has a comment, or belongs to one that has.
func TestDocumented(t *testing.T) {
	all := values(t)
	documented := map[string]bool{}
	for i, v := range all {
		documented[v.path] = v.doc != ""
		parent := i+1 < len(all) && strings.HasPrefix(all[i+1].path, v.path+".")
		ok := parent
		for p := v.path; p != ""; p = p[:max(0, strings.LastIndexByte(p, '.'))] {
			ok = ok || documented[p]
		}
		if !ok {
			t.Errorf("%s has no comment", v.path)
		}
	}
}

// schema is the part of a JSON schema that is looked at.
type schema struct {
	Ref         string            `json:"$ref"`
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
	Additional  json.RawMessage   `json:"additionalProperties"`
	Defs        map[string]schema `json:"$defs"`
}

// TestSchema: the schema knows exactly the values that there are, with the same
// words, and refuses others at every level.
func TestSchema(t *testing.T) {
	raw, err := os.ReadFile(root + "/" + chart + "values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, v := range values(t) {
		docs[v.path] = v.doc
	}
	var paths []string
	var walk func(path string, x schema)
	walk = func(path string, x schema) {
		if d := x.Description; path != "" && path != "global" && d != docs[path] && docs[path] != "" {
			t.Errorf("%s: the schema says %q, values.yaml %q", path, d, docs[path])
		}
		if x.Ref != "" {
			x = s.Defs[strings.TrimPrefix(x.Ref, "#/$defs/")]
		}
		if len(x.Properties) > 0 && string(x.Additional) != "false" {
			t.Errorf("%s: takes any key", path)
		}
		for k, y := range x.Properties {
			sub := strings.TrimPrefix(path+"."+k, ".")
			paths = append(paths, sub)
			walk(sub, y)
		}
	}
	walk("", s)
	for p := range docs {
		// Parts of free objects (a security context, say) are not the schema's.
		free := false
		for q := p; strings.Contains(q, "."); {
			q = q[:strings.LastIndexByte(q, '.')]
			free = free || docs[q] != "" && slices.Contains(paths, q) && !slices.ContainsFunc(paths, func(x string) bool { return strings.HasPrefix(x, q+".") })
		}
		if !slices.Contains(paths, p) && !free {
			t.Errorf("%s is not in the schema", p)
		}
	}
	for _, p := range paths {
		if _, ok := docs[p]; !ok && p != "global" {
			t.Errorf("%s is in the schema alone", p)
		}
	}
	for name, def := range s.Defs {
		if string(def.Additional) != "false" {
			t.Errorf("$defs/%s takes any key", name)
		}
	}
}
