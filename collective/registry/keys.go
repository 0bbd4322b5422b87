package registry

import (
	"fmt"
	"strings"
)

// Defaults of Config.
const (
	DefaultPrefix  = "/sullae"
	DefaultCluster = "default"
)

// keys builds the names of keys; its value is "<prefix>/<cluster>/".
type keys string

func newKeys(prefix, cluster string) keys {
	return keys("/" + strings.Trim(prefix, "/") + "/" + cluster + "/")
}

func (k keys) workers() string                { return string(k) + "workers/" }
func (k keys) coordinators() string           { return string(k) + "coordinators/" }
func (k keys) candidates() string             { return string(k) + "leader/" }
func (k keys) candidate(id leaseID) string    { return fmt.Sprintf("%s%x", k.candidates(), int64(id)) }
func (k keys) generation(group string) string { return string(k) + "generation/" + group }
func (k keys) worker(id string) string        { return k.workers() + id }
func (k keys) coordinator(id string) string   { return k.coordinators() + id }

// maxName bounds what becomes part of a key.
const maxName = 128

// checkName tells why s can't be part of a key; what names it in the error.
func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("registry: %s is empty", what)
	case len(s) > maxName:
		return fmt.Errorf("registry: %s has %d bytes, at most %d are allowed", what, len(s), maxName)
	}
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("._-:", r) {
			return fmt.Errorf("registry: %s %q has %q; letters, digits and . _ - : are allowed", what, s, r)
		}
	}
	return nil
}
