package embedetcd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// Flags that error messages name.
const (
	flagClientAddr = "--etcd-listen"
	flagPeerAddr   = "--etcd-peer-listen"
	flagDir        = "--etcd-dir"
)

// quotaBytes is the most that the data may take. A cluster keeps some kilobytes
// per worker; history is dropped hourly.
const quotaBytes = 512 << 20

// etcdConfig translates cfg. Dir is left to the caller.
func etcdConfig(cfg Config) (*embed.Config, error) {
	client, err := listenURL(cfg.ClientAddr, flagClientAddr)
	if err != nil {
		return nil, err
	}
	peer, err := listenURL(cfg.PeerAddr, flagPeerAddr)
	if err != nil {
		return nil, err
	}
	ec := embed.NewConfig()
	ec.Name = "sullae"
	ec.Dir = cfg.Dir
	ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	ec.UnsafeNoFsync = !cfg.Fsync
	ec.QuotaBackendBytes = quotaBytes
	ec.AutoCompactionMode = embed.CompactorModePeriodic
	ec.AutoCompactionRetention = "1h"
	// Nothing here speaks JSON to it, and browsers have no business with it.
	ec.EnableGRPCGateway = false
	ec.CORS = nil
	return ec, nil
}

// listenURL is the URL of a host:port to listen at; flag is named in errors.
func listenURL(addr, flag string) (url.URL, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return url.URL{}, fmt.Errorf("embedded etcd: %s %q is not host:port: %w", flag, addr, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	// etcd listens at addresses only, and takes no other name than localhost.
	if host != "localhost" && net.ParseIP(host) == nil {
		return url.URL{}, fmt.Errorf("embedded etcd: %s %q: %q is not an IP address", flag, addr, host)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return url.URL{}, fmt.Errorf("embedded etcd: %s %q: bad port: %w", flag, addr, err)
	}
	return url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}, nil
}

// explain names what err is about: which address is taken, or which folder is
// in trouble.
func explain(err error, cfg Config) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		dir := cfg.Dir
		if dir == "" {
			dir = "(temporary)"
		}
		return fmt.Errorf("embedded etcd: %s %s: %w", flagDir, dir, err)
	}
	flag, addr := flagClientAddr, cfg.ClientAddr
	if op.Addr != nil && sameAddr(op.Addr.String(), cfg.PeerAddr) && !sameAddr(op.Addr.String(), cfg.ClientAddr) {
		flag, addr = flagPeerAddr, cfg.PeerAddr
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("embedded etcd: %s %s: the address is in use; stop what listens there or choose another port (0 takes a free one): %w", flag, addr, err)
	}
	return fmt.Errorf("embedded etcd: %s %s: can't listen: %w", flag, addr, err)
}

func sameAddr(a, b string) bool {
	x, errX := net.ResolveTCPAddr("tcp", a)
	y, errY := net.ResolveTCPAddr("tcp", b)
	if errX != nil || errY != nil {
		return a == b
	}
	return x.Port == y.Port && (x.IP.Equal(y.IP) || len(x.IP) == 0 || len(y.IP) == 0)
}
