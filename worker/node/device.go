package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/cuda"
	"github.com/sullae/sullae/ops/cgroup"
)

// device is what a worker computes on, and the memory that it has.
type device struct {
	kernels.Backend
	// id is of a GPU; empty of the CPU, which has the host's memory.
	id string
	// free is how many bytes are free, held how many this process has of them; 0
	// where the system doesn't tell.
	free, held func() int64
	// add is collective.Tuning's: for what ranks sum in the host's memory; nil: plain.
	add func(dst, x, y []float32)
	// lost is why the device can no longer be used; nil while it can. It is asked
	// between ops, by whom they are of.
	lost func() error
}

// openDevice opens "cpu", "cuda" (the first GPU), "cuda:N", or "auto": the first
// GPU, or the CPU where there is none.
func openDevice(cfg Config, log *slog.Logger) (*device, error) {
	name, number, _ := strings.Cut(cfg.Device, ":")
	switch name {
	case "cuda", "auto", "":
		index := 0
		if number != "" {
			var err error
			if index, err = strconv.Atoi(number); err != nil || index < 0 || name != "cuda" {
				return nil, fmt.Errorf("--device %s: cuda:N with the number of a GPU is meant", cfg.Device)
			}
		}
		gpu, err := cuda.New(cuda.Config{Device: index, Exact: cfg.ExactCUDA, Log: log})
		if err == nil {
			log.Info("computing on a GPU", "device", gpu.DeviceName(), "class", gpu.Info().Class, "products", gpu.Products())
			return &device{gpu, gpu.DeviceID(), gpu.FreeMemory, gpu.HeldMemory, nil, gpu.Lost}, nil
		}
		if name == "cuda" || !errors.Is(err, cuda.ErrNoDevice) {
			return nil, fmt.Errorf("--device %s: %w", cfg.Device, err)
		}
		log.Info("computing on the CPU", "why", err)
	case "cpu":
	default:
		return nil, fmt.Errorf("--device %s: not known; cpu, cuda, cuda:N or auto", cfg.Device)
	}
	b, err := cpu.New(cpu.Config{Threads: cmp.Or(cfg.Threads, cgroup.Threads()), Variant: cfg.Variant})
	if err != nil {
		return nil, fmt.Errorf("--threads, --cpu-variant: %w", err)
	}
	return &device{b, "", freeMemory, heldMemory, b.AddTo, func() error { return nil }}, nil
}
