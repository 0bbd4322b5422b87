//go:build !(linux && (amd64 || arm64)) || nocuda

package cuda

import (
	"errors"
	"log/slog"
	"time"

	"github.com/sullae/sullae/kernels"
)

// ErrNoDevice is that this binary has no CUDA in it.
var ErrNoDevice = errors.New("this binary was built without CUDA")

// Config chooses a device and how it computes.
type Config struct {
	Device int
	Exact  bool
	Log    *slog.Logger
}

// Backend is never made.
type Backend struct{ kernels.Backend }

// New returns ErrNoDevice.
func New(Config) (*Backend, error) { return nil, ErrNoDevice }

// DeviceName is the GPU's name.
func (b *Backend) DeviceName() string { return "" }

// DeviceID is the GPU's UUID.
func (b *Backend) DeviceID() string { return "" }

// HeldMemory is how many bytes of the device the backend has.
func (b *Backend) HeldMemory() int64 { return 0 }

// Lost is nil.
func (b *Backend) Lost() error { return nil }

// Limits are what a device does at most.
type Limits struct{ Copy, BF16, MMA, F32, Int8, In, Out, Launch, GraphLaunch float64 }

// Limits returns ErrNoDevice.
func (b *Backend) Limits(int) (Limits, error) { return Limits{}, ErrNoDevice }

// Products is nothing.
func (b *Backend) Products() string { return "" }

// TimeCopies times nothing.
func (b *Backend) TimeCopies() (stop func() time.Duration) { return func() time.Duration { return 0 } }

// FreeMemory is the device's free memory in bytes.
func (b *Backend) FreeMemory() int64 { return 0 }
