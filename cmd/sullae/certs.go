package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/collective/nodetls"
)

// certsCmd makes the certificates of a cluster's nodes.
type certsCmd struct {
	Dir      string `arg:"" help:"The folder to write ca.pem, ca-key.pem, node.pem and node-key.pem to."`
	Cluster  string `env:"-" default:"default" placeholder:"NAME" help:"Name of the cluster, for people who read the CA's certificate."`
	NodeName string `env:"-" default:"${node_name}" placeholder:"NAME" help:"DNS name that nodes' certificates carry (${default})."`
	Days     int    `env:"-" default:"365" help:"How long the nodes' certificate is valid (${default}); a CA made here is for ten years."`
	Renew    bool   `env:"-" xor:"how" help:"Make a new node.pem and node-key.pem from the CA that is there. Running nodes take them up by themselves."`
	Force    bool   `env:"-" xor:"how" help:"Replace all four files, CA included."`
}

// Names of the files.
const (
	caFile, caKeyFile     = "ca.pem", "ca-key.pem"
	nodeFile, nodeKeyFile = "node.pem", "node-key.pem"
)

const (
	day    = 24 * time.Hour
	caLife = 3650 * day
)

// Run makes the files.
func (c *certsCmd) Run() error { return c.run(standard()) }

func (c *certsCmd) run(std streams) error {
	if c.Days < 1 || c.Days > 36500 {
		return fmt.Errorf("--days %d: want 1 to 36500", c.Days)
	}
	ca, err := c.authority()
	if err != nil {
		return err
	}
	if err := writeNode(ca, c.Dir, c.NodeName, time.Duration(c.Days)*day); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(c.Dir, name) }
	text := fmt.Sprintf("Give every coordinator and worker a copy of three files:\n\n  --node-ca %s --node-cert %s --node-key %s", at(caFile), at(nodeFile), at(nodeKeyFile))
	if c.NodeName != nodetls.DefaultName {
		text += " --node-name " + c.NodeName
		text += fmt.Sprintf("\n\nOr secure the APIs of coordinators that clients know by this name:\n\n  --tls-cert %s --tls-key %s, and for clients --ca %s", at(nodeFile), at(nodeKeyFile), at(caFile))
	}
	_, err = io.WriteString(std.out, screen.Printable(text+fmt.Sprintf("\n\nKeep %s off them: it makes new nodes.\n", at(caKeyFile))))
	return err
}

// authority is the CA that is there, or a new one.
func (c *certsCmd) authority() (*nodetls.Authority, error) {
	cert, key := filepath.Join(c.Dir, caFile), filepath.Join(c.Dir, caKeyFile)
	if c.Renew {
		var p nodetls.Pair
		var err error
		if p.Cert, err = os.ReadFile(cert); err == nil {
			p.Key, err = os.ReadFile(key)
		}
		if err != nil {
			return nil, fmt.Errorf("--renew: %w (without --renew a new CA is made)", err)
		}
		ca, err := nodetls.ParseAuthority(p)
		if err != nil {
			return nil, fmt.Errorf("--renew: %s, %s: %w", cert, key, err)
		}
		return ca, nil
	}
	if !c.Force {
		for _, name := range []string{caFile, caKeyFile, nodeFile, nodeKeyFile} {
			if _, err := os.Lstat(filepath.Join(c.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s is there already: --renew makes a new pair for nodes from this CA, --force replaces everything", filepath.Join(c.Dir, name))
			}
		}
	}
	ca, err := nodetls.NewAuthority(c.Cluster, max(caLife, time.Duration(c.Days)*day))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	p, err := ca.Pair()
	if err != nil {
		return nil, err
	}
	return ca, errors.Join(replaceFile(key, p.Key, 0o600), replaceFile(cert, p.Cert, 0o644))
}

// writeNode makes a pair for nodes in dir.
func writeNode(ca *nodetls.Authority, dir, name string, life time.Duration) error {
	p, err := ca.Issue(name, life)
	if err != nil {
		return err
	}
	// Between the two the pair does not fit; nodes that look then keep their old one.
	return errors.Join(replaceFile(filepath.Join(dir, nodeKeyFile), p.Key, 0o600),
		replaceFile(filepath.Join(dir, nodeFile), p.Cert, 0o644))
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
