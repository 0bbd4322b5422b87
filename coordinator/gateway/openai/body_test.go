package openai_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/gateway/openai"
)

// A client that stops in the middle of its body is told so, and let go; also where
// nobody reads the body.
func TestBodyThatStops(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = openai.NewServer(openai.NewHandler(openai.Config{Service: gateway.New(gateway.Config{
		Model: gatewaytest.Model(), Engine: &gatewaytest.Engine{}, Registry: prometheus.NewRegistry()})}), 100*time.Millisecond)
	s.Start()
	defer s.Close()
	for path, want := range map[string]string{"/v1/completions": "body_timeout", "/v1/nothing": "route_not_found"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s, %v", path, resp.StatusCode, body, err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection stands: %v", path, err)
		}
	}
}
