package openai

import (
	"net/http"
	"time"
)

// NewServer makes a server with the timeouts that a public port needs. There is
// none on writing: a stream lasts as long as its tokens do; and the handler
// itself bounds the reading of bodies. It speaks HTTP/1.1 and HTTP/2, the latter
// in the clear, too (Kubernetes' appProtocol kubernetes.io/h2c).
func NewServer(addr string, h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
	}
}
