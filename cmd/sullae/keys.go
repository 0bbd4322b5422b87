package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/edge"
)

// keysCmd is `sullae keys`.
type keysCmd struct {
	Add    keysAddCmd    `cmd:"" help:"Make an API key, print it once, and add its hash to the file."`
	List   keysListCmd   `cmd:"" help:"List the file's keys and their limits."`
	Remove keysRemoveCmd `cmd:"" help:"Remove a key from the file: running coordinators refuse it within two seconds."`
}

type keysFileFlag struct {
	File string `env:"SULLAE_API_KEYS" required:"" placeholder:"FILE" help:"The file of keys, as --api-keys takes it."`
}

// keysAddCmd is `sullae keys add`.
type keysAddCmd struct {
	keysFileFlag
	Name              string       `arg:"" help:"Whose key it is: the name in logs, and the tenant that shares are dealt to."`
	RequestsPerMinute int          `env:"-" placeholder:"N" help:"Most requests for tokens in a minute; default: no bound."`
	TokensPerMinute   int          `env:"-" placeholder:"N" help:"Most tokens in a minute, of prompts and answers; default: no bound."`
	Concurrent        int          `env:"-" placeholder:"N" help:"Most requests at once; default: no bound."`
	MinPriority       *int         `env:"-" placeholder:"P" help:"The best priority that its requests get (a lower value is served first); default: as they ask."`
	Expires           durationFlag `env:"-" placeholder:"TIME" help:"How long the key is accepted, such as 720h; default: for ever."`
	Admin             bool         `env:"-" help:"The key may change the cluster, too (drain workers)."`
}

// Run adds a key.
func (c *keysAddCmd) Run() error { return c.run(standard()) }

func (c *keysAddCmd) run(std streams) error {
	f, err := readKeys(c.File, true)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(f.Keys, func(k edge.Key) bool { return k.Name == c.Name }) {
		return fmt.Errorf("%s has a key %q already: remove it first (sullae keys remove), or choose another name", c.File, c.Name)
	}
	secret := edge.NewSecret()
	k := edge.Key{Name: c.Name, SHA256: edge.Hash(secret), Admin: c.Admin, Limits: edge.Limits{
		RequestsPerMinute: c.RequestsPerMinute, TokensPerMinute: c.TokensPerMinute, Concurrent: c.Concurrent, MinPriority: c.MinPriority}}
	if c.Expires != 0 {
		until := time.Now().Add(c.Expires).UTC().Truncate(time.Second)
		k.Expires = &until
	}
	f.Keys = append(f.Keys, k)
	if err := writeKeys(c.File, f); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "The key of %s, told this once; the file has only its hash:\n", screen.Printable(c.Name))
	_, err = fmt.Fprintln(std.out, secret)
	return err
}

// keysListCmd is `sullae keys list`.
type keysListCmd struct{ keysFileFlag }

// Run lists keys.
func (c *keysListCmd) Run() error { return c.run(standard()) }

func (c *keysListCmd) run(std streams) error {
	f, err := readKeys(c.File, false)
	if err != nil {
		return err
	}
	number := func(n int) string {
		if n == 0 {
			return "-"
		}
		return strconv.Itoa(n)
	}
	row := func(texts ...string) (cells []screen.Cell) {
		for _, t := range texts {
			cells = append(cells, screen.Cell{Text: screen.Printable(t)})
		}
		return cells
	}
	rows := [][]screen.Cell{row("NAME", "REQUESTS/MIN", "TOKENS/MIN", "CONCURRENT", "MIN PRIORITY", "EXPIRES", "ADMIN")}
	for _, k := range f.Keys {
		priority, until, admin := "-", "-", "-"
		if k.MinPriority != nil {
			priority = strconv.Itoa(*k.MinPriority)
		}
		if k.Expires != nil {
			until = k.Expires.Format(time.RFC3339)
		}
		if k.Admin {
			admin = "yes"
		}
		rows = append(rows, row(k.Name, number(k.RequestsPerMinute), number(k.TokensPerMinute), number(k.Concurrent), priority, until, admin))
	}
	_, err = io.WriteString(std.out, screen.Table(rows))
	return err
}

// keysRemoveCmd is `sullae keys remove`.
type keysRemoveCmd struct {
	keysFileFlag
	Name string `arg:"" help:"Whose key."`
}

// Run removes a key.
func (c *keysRemoveCmd) Run() error {
	f, err := readKeys(c.File, false)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(f.Keys), func(k edge.Key) bool { return k.Name == c.Name })
	if len(left) == len(f.Keys) {
		return fmt.Errorf("%s has no key %q", c.File, c.Name)
	}
	f.Keys = left
	return writeKeys(c.File, f)
}

// readKeys reads the file; where it is to be made, one that isn't there is empty.
func readKeys(path string, create bool) (edge.File, error) {
	if _, err := os.Stat(path); create && errors.Is(err, fs.ErrNotExist) {
		return edge.File{}, nil
	}
	return edge.ReadFile(path)
}

// writeKeys replaces the file, if what is in it would be accepted.
func writeKeys(path string, f edge.File) error {
	if err := f.Check(path); err != nil {
		return err
	}
	if f.Keys == nil {
		f.Keys = []edge.Key{}
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(raw, '\n'), 0o600)
}
