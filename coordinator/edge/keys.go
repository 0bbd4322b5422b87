package edge

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// Key is what the file has of an API key: never the key itself, but its hash.
// A key is 160 random bits, so a plain SHA-256 can't be turned round.
type Key struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of the whole key, hex
	// Expires, if given, is when it stops being accepted.
	Expires *time.Time `json:"expires,omitempty"`
	// Admin keys may change the cluster (drain workers) and see all of it.
	Admin bool `json:"admin,omitempty"`
	Limits
}

// Limits bound a key's use; 0 is no bound.
type Limits struct {
	RequestsPerMinute int `json:"requests_per_minute,omitempty"`
	// TokensPerMinute counts prompts when they come and answers as they are made.
	TokensPerMinute int `json:"tokens_per_minute,omitempty"`
	Concurrent      int `json:"concurrent,omitempty"` // requests
	// MinPriority is the best (lowest) priority that its requests get; better ones
	// are asked for in vain. Absent: as they ask.
	MinPriority *int `json:"min_priority,omitempty"`
}

// File is the file of keys.
type File struct {
	Keys []Key `json:"keys"`
}

// prefix begins every key, so that scanners for leaked secrets know them.
const prefix = "sk-sullae-"

var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// NewSecret makes an API key.
func NewSecret() string {
	raw := make([]byte, 20)
	rand.Read(raw)
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}

// Hash is what a file has of an API key.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// ReadFile reads and checks a file of keys. Errors name what is wrong, and never
// what a key is.
func ReadFile(path string) (File, error) {
	var f File
	raw, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("--api-keys: %w (make one with: sullae keys add --file %s NAME)", err, path)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("--api-keys %s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("--api-keys %s: there is something behind the object", path)
	}
	return f, f.Check(path)
}

// Check says what is wrong with the keys; path is named.
func (f File) Check(path string) error {
	names, hashes := map[string]bool{}, map[string]string{}
	for i, k := range f.Keys {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("--api-keys %s: key %d (%q): "+format, append([]any{path, i, k.Name}, args...)...)
		}
		raw, err := hex.DecodeString(k.SHA256)
		switch {
		case !keyName.MatchString(k.Name):
			return bad("name: want 1 to 64 letters, digits and . _ @ -")
		case names[k.Name]:
			return bad("name: it is there twice")
		case err != nil || len(raw) != sha256.Size:
			return bad("sha256: want the 64 hex digits of the key's hash, not the key")
		case hashes[strings.ToLower(k.SHA256)] != "":
			return bad("sha256: the same as key %q has", hashes[strings.ToLower(k.SHA256)])
		case k.RequestsPerMinute < 0, k.TokensPerMinute < 0, k.Concurrent < 0:
			return bad("limits must be 0 (none) or more")
		}
		names[k.Name], hashes[strings.ToLower(k.SHA256)] = true, k.Name
	}
	return nil
}
