package member

import (
	"fmt"
	"net"
)

// Reachable is how others dial a listener: its own address, with advertise in
// place of the host where that is given, and this host's outbound address where
// it listens on all interfaces.
func Reachable(l net.Addr, advertise string) string {
	host, port, _ := net.SplitHostPort(l.String())
	if advertise != "" {
		return net.JoinHostPort(advertise, port)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if own := outbound(); own != "" {
			host = own
		}
	}
	return net.JoinHostPort(host, port)
}

// outbound is this host's address on the way out; nothing is sent.
func outbound() string {
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return ""
	}
	defer c.Close()
	host, _, _ := net.SplitHostPort(c.LocalAddr().String())
	return host
}

// SplitAddr reads the host:port of --gossip.
func SplitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = net.LookupPort("udp", p)
	}
	if err != nil {
		return "", 0, fmt.Errorf("--gossip %s: %w (want HOST:PORT, port 0 for a free one)", addr, err)
	}
	return host, port, nil
}
