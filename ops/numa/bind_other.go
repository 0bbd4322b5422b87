//go:build !linux

package numa

import "errors"

var errNone = errors.New("NUMA nodes are known on Linux alone")

func allowedCPUs() (func(cpu int) bool, error) { return nil, errNone }

// Bind binds this process to the node.
func Bind(Node) error { return errNone }

// BindThread binds the calling thread to the node.
func BindThread(Node) error { return errNone }

// Beside is how many nodes with CPUs the machine has, this process's among them, where its
// memory is bound to one; else 1.
func Beside() int { return 1 }

// Free is how many bytes are left of the nodes that this process's memory is bound to; 0
// where it is not bound.
func Free() int64 { return 0 }
