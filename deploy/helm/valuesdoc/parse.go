package main

import (
	"fmt"
	"regexp"
	"strings"
)

// value is a key of values.yaml.
type value struct {
	path string
	def  string // as it is written; "" where the lines below have it
	doc  string // the comment above it
}

var key = regexp.MustCompile(`^( *)([A-Za-z0-9_./-]+):(?: (.*))?$`)

// parse reads values.yaml: keys, one a line, indented by two spaces a level, a
// comment above each that has one. Lists below a key belong to it. It is not a
// YAML parser, and refuses what it doesn't understand.
func parse(text string) ([]value, error) {
	var out []value
	var path []string
	var doc []string
	list := -1 // indentation of the key whose list is being read
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			doc = nil
			continue
		case strings.HasPrefix(trimmed, "#"):
			doc = append(doc, strings.TrimSpace(strings.TrimPrefix(trimmed, "#")))
			continue
		case strings.HasPrefix(trimmed, "- "):
			list = len(line) - len(strings.TrimLeft(line, " ")) - 2
			continue
		}
		m := key.FindStringSubmatch(line)
		if m == nil || len(m[1])%2 != 0 || len(m[1])/2 > len(path) {
			return nil, fmt.Errorf("values.yaml:%d: %q: want one key a line, indented by two spaces a level", n+1, line)
		}
		if list >= 0 && len(m[1]) > list {
			continue // of an element
		}
		list = -1
		path = append(path[:len(m[1])/2], m[2])
		out = append(out, value{strings.Join(path, "."), m[3], strings.Join(doc, " ")})
		doc = nil
	}
	return out, nil
}
