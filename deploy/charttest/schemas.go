package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sullae/sullae/deploy/internal/program"
)

// makeSchemas turns Kubernetes' OpenAPI document, as its module holds it, into
// one JSON schema for each kind, named as kubeconform looks for them. Fields that
// the document does not know are refused.
func makeSchemas(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	source, err := program.Source(program.KubernetesModule)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(source, "api/openapi-spec/swagger.json"))
	if err != nil {
		return err
	}
	var doc struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for name, def := range doc.Definitions {
		doc.Definitions[name] = strict(name, def)
	}
	temporary := dir + ".new"
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return err
	}
	write := func(name string, v any) error {
		out, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(temporary, name), out, 0o644)
	}
	if err := write("definitions.json", map[string]any{"definitions": doc.Definitions}); err != nil {
		return err
	}
	for name, def := range doc.Definitions {
		kinds, _ := def["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			gvk := k.(map[string]any)
			group, version, kind := gvk["group"].(string), gvk["version"].(string), gvk["kind"].(string)
			file := strings.ToLower(kind) + "-" + version + ".json"
			if group != "" {
				file = strings.ToLower(kind) + "-" + strings.Split(group, ".")[0] + "-" + version + ".json"
			}
			if err := write(file, map[string]any{"$ref": fmt.Sprintf("file://%s/definitions.json#/definitions/%s", dir, name)}); err != nil {
				return err
			}
		}
	}
	return os.Rename(temporary, dir)
}

// strict refuses unknown fields of an object, and takes a quantity or a port
// given as a number.
func strict(name string, def map[string]any) map[string]any {
	switch {
	case strings.HasSuffix(name, "api.resource.Quantity"):
		return map[string]any{"type": []string{"string", "number", "integer"}}
	case strings.HasSuffix(name, "util.intstr.IntOrString"):
		return map[string]any{"type": []string{"string", "integer"}}
	}
	if _, ok := def["properties"]; ok && def["additionalProperties"] == nil {
		def["additionalProperties"] = false
	}
	return def
}
