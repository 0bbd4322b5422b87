//go:build !linux

package netlab

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"
)

// Lab is described in lab_linux.go.
type Lab struct{}

// New fails: there are no namespaces on this system.
func New(int) (*Lab, error) {
	return nil, fmt.Errorf("%w: %s has none", ErrUnavailable, runtime.GOOS)
}

func (*Lab) Addr(int) string                            { panic("netlab: no hosts") }
func (*Lab) Start(int, *exec.Cmd) (<-chan error, error) { return nil, ErrUnavailable }
func (*Lab) SetLink(Link)                               {}
func (*Lab) Cut(int, bool)                              {}
func (*Lab) CutPair(int, int, bool)                     {}
func (*Lab) Close()                                     {}
func (*Lab) Dial(context.Context, int, string, string) (net.Conn, error) {
	return nil, ErrUnavailable
}
