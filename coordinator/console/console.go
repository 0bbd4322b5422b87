// Package console is the coordinator's web page: the cluster as a picture, live
// charts, and a chat. It is one document, put together from the files in page/
// when the process starts: no build step, nothing from elsewhere. It shows what
// GET /cluster/status and /metrics tell, and asks /v1/chat/completions.
//
// Where API keys are needed the page is refused like every other route; what the
// refusal says is a form that asks for the key. The key stays in the browser's tab.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
)

// Path is where the page is.
const Path = "/console/"

//go:embed page
var files embed.FS

// The scripts, in order; each file is an idea.
var scripts = []string{"strings.js", "access.js", "cluster.js", "charts.js", "chat.js", "app.js"}

var page, signIn, policy = assemble()

// assemble makes both documents, and the content security policy that allows them
// their own scripts and styles and nothing else.
func assemble() (page, signIn []byte, policy string) {
	read := func(name string) []byte {
		raw, err := files.ReadFile("page/" + name)
		if err != nil {
			panic(err) // embedded
		}
		return raw
	}
	var app bytes.Buffer
	app.WriteString("(() => {\n\"use strict\";\n")
	for _, name := range scripts {
		app.Write(read(name))
	}
	app.WriteString("})();\n")
	style, enter := read("style.css"), read("signin.js")
	build := func(name string, script []byte) []byte {
		return []byte(strings.NewReplacer("/*style*/", string(style), "/*script*/", string(script)).Replace(string(read(name))))
	}
	policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src " +
		hash(app.Bytes()) + " " + hash(enter) + "; style-src " + hash(style)
	return build("console.html", app.Bytes()), build("signin.html", enter), policy
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Serve answers with the page.
func Serve(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, page) }

// Redirect leads from / to the page.
func Redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, Path, http.StatusSeeOther)
}

// Refuse answers a request for the page that has no key, and reports whether it
// was one.
func Refuse(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || r.URL.Path != "/" && r.URL.Path != Path || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	write(w, http.StatusUnauthorized, signIn)
	return true
}

func write(w http.ResponseWriter, status int, document []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(document) //nolint:errcheck // the client hung up; there is nobody to tell
}
