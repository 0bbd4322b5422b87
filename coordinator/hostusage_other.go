//go:build !linux

package coordinator

// hostUsage is not known on this system.
type hostUsage struct{}

func newHostUsage() *hostUsage { return &hostUsage{} }

func (*hostUsage) cpu() float64    { return 0 }
func (*hostUsage) memory() float64 { return 0 }
func (*hostUsage) disk() float64   { return 0 }
