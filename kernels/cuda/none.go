//go:build !(linux && (amd64 || arm64)) || nocuda

package cuda

import (
	"errors"

	"github.com/sullae/sullae/kernels"
)

// ErrNoDevice is that this binary has no CUDA in it.
var ErrNoDevice = errors.New("this binary was built without CUDA")

// Config chooses a device and how it computes.
type Config struct {
	Device int
	Exact  bool
}

// Backend is never made.
type Backend struct{ kernels.Backend }

// New returns ErrNoDevice.
func New(Config) (*Backend, error) { return nil, ErrNoDevice }

// DeviceName is the GPU's name.
func (b *Backend) DeviceName() string { return "" }

// Lost is nil.
func (b *Backend) Lost() error { return nil }

// FreeMemory is the device's free memory in bytes.
func (b *Backend) FreeMemory() int64 { return 0 }
