package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/sullae/sullae/collective/nodetls"
)

// upLife is how long the certificates of `sullae up` are valid: longer than it
// runs. Their CA is forgotten as soon as they are made.
const upLife = 3650 * day

// ownCerts makes certificates for the processes of one `sullae up`, in a folder
// that only this user can read. The caller calls remove when they have ended.
func ownCerts(cluster string) (flags tlsFlags, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sullae-certs-") // mode 0700
	if err != nil {
		return flags, nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	flags = tlsFlags{NodeCA: filepath.Join(dir, caFile), NodeCert: filepath.Join(dir, nodeFile), NodeKey: filepath.Join(dir, nodeKeyFile), NodeName: nodetls.DefaultName}
	ca, err := nodetls.NewAuthority(cluster, upLife)
	if err == nil {
		var p nodetls.Pair
		p, err = ca.Pair()
		err = errors.Join(err, replaceFile(flags.NodeCA, p.Cert, 0o644), writeNode(ca, dir, flags.NodeName, upLife))
	}
	if err != nil {
		remove()
		return flags, nil, err
	}
	return flags, remove, nil
}
