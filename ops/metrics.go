package ops

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry has what every process tells: Go's and the system's figures, and
// what was built.
func NewRegistry(component, version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sullae_build_info", Help: "1; its labels say what was built.",
		ConstLabels: prometheus.Labels{"component": component, "version": version, "commit": Commit(), "go": runtime.Version(), "arch": runtime.GOARCH},
	})
	info.Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return reg
}

// Commit is what the binary was built from, where the build tells; else "".
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// WatchExpiry exports when a certificate expires; use is "node" or "api".
func WatchExpiry(reg prometheus.Registerer, use string, notAfter func() time.Time) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sullae_certificate_expiry_timestamp_seconds", Help: "When the certificate in use expires, in Unix time.",
		ConstLabels: prometheus.Labels{"use": use},
	}, func() float64 { return float64(notAfter().Unix()) }))
}
