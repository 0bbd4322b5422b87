package edge

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sullae/sullae/coordinator/gateway"
)

// open are the paths that need no key: what probes ask.
var open = map[string]bool{"/livez": true, "/readyz": true, "/health": true}

// HTTP lets requests with a key through, with their caller in the context; all
// others are answered by refuse. Probes need no key. What changes the cluster
// needs an admin's.
func (g *Guard) HTTP(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := gateway.Caller{Via: "http", Remote: r.RemoteAddr}
		if g != nil && !(open[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead)) {
			k, err := g.identify(r.Header.Get("Authorization"))
			if err == nil && !k.Admin && changesCluster(r) {
				err = g.refusal("forbidden", fmt.Errorf("%w: %s %s needs an admin's key, and %s is not one", gateway.ErrForbidden, r.Method, r.URL.Path, k.Name))
			}
			if err != nil {
				refuse(w, r, err)
				return
			}
			caller = g.caller(k, "http", r.RemoteAddr)
			r.Header.Del("Authorization") // nothing behind this needs it, or may log it
		}
		next.ServeHTTP(w, r.WithContext(gateway.WithCaller(r.Context(), caller)))
	})
}

func changesCluster(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/cluster/") && r.Method != http.MethodGet && r.Method != http.MethodHead
}
