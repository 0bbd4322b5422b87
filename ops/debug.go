package ops

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
)

// debugMux serves Go's profiles, and the process's own snapshots.
func debugMux(own map[string]func() any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	names := slices.Sorted(maps.Keys(own))
	for _, name := range names {
		mux.HandleFunc("GET /debug/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			enc.Encode(own[name]())
		})
	}
	mux.HandleFunc("GET /debug/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>debug</title><ul>")
		for _, name := range append(names, "pprof/") {
			fmt.Fprintf(w, `<li><a href="/debug/%[1]s">%[1]s</a>`, html.EscapeString(name))
		}
		fmt.Fprint(w, "</ul>")
	})
	return mux
}

// thisHost refuses callers from elsewhere, and pages that a browser on this host
// shows under another name (DNS rebinding). What comes through "kubectl
// port-forward" or an SSH tunnel is of this host.
func thisHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "/debug/ answers this host alone: use kubectl port-forward or an SSH tunnel", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]") // a Host without a port
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
