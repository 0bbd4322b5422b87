// Command valuesdoc writes the table of the chart's values into its README, from
// the comments of values.yaml. Run it in the repository's root after a change of
// values.yaml; the test beside it says when it must be.
package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	chart      = "deploy/helm/sullae/"
	begin, end = "<!-- values: made by go run ./deploy/helm/valuesdoc -->\n", "<!-- end of values -->\n"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "valuesdoc:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	name := root + "/" + chart + "README.md"
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text, err := readme(root, string(old))
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// readme is a README with its table made anew.
func readme(root, old string) (string, error) {
	raw, err := os.ReadFile(root + "/" + chart + "values.yaml")
	if err != nil {
		return "", err
	}
	head, rest, ok := strings.Cut(old, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("%sREADME.md: no marks around the table of values", chart)
	}
	values, err := parse(string(raw))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| value | default | what it is |\n|---|---|---|\n")
	for _, v := range values {
		if v.doc == "" {
			continue // its parts are documented, or the whole that it belongs to
		}
		def := ""
		if v.def != "" {
			def = "`" + v.def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.path, def, strings.ReplaceAll(v.doc, "|", "\\|"))
	}
	return head + begin + b.String() + end + tail, nil
}
