// Package e2e holds the tests that run the real binary: real processes, real
// sockets, an embedded etcd, real checkpoints. There is no code here but tests.
package e2e
