package main

import (
	"fmt"
	"net/url"
	"strings"
)

// httpBase completes a flag's address, as "up" and "coordinator" take it, to the
// URL that paths are appended to.
func httpBase(flag, addr string) (*url.URL, error) {
	full := addr
	if !strings.Contains(full, "://") {
		if strings.HasPrefix(full, ":") {
			full = "127.0.0.1" + full
		}
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s %s: this is no HTTP address, such as http://127.0.0.1:8080", flag, addr)
	}
	// Clients of OpenAI are given a URL that ends so; the paths here have it already.
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	return u, nil
}
