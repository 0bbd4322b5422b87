package openai

import (
	"io"
	"net/http"
	"time"
)

// BodySilence is how long a client may send nothing of a body that it announced.
const BodySilence = time.Minute

// NewServer makes a server with the timeouts that a public port needs. There is
// none on writing: a stream lasts as long as its tokens do. A body may take any
// time as long as it goes on: no longer than silence without a byte. It speaks
// HTTP/1.1 and HTTP/2, the latter in the clear, too (Kubernetes' appProtocol
// kubernetes.io/h2c).
func NewServer(h http.Handler, silence time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           impatient(h, silence),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
	}
}

// impatient bounds the silence of bodies: of those that h reads, and of those that
// it refuses unread, of which the server reads on before it answers.
func impatient(h http.Handler, silence time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			b := &body{r.Body, http.NewResponseController(w), silence}
			b.expect()
			r.Body = b
		}
		h.ServeHTTP(w, r)
	})
}

// body sets the connection's deadline before each read. It takes it away at the
// end, and only there: the server goes on reading, to see when the client hangs
// up, but after an error it would wait for the rest of the body.
type body struct {
	io.ReadCloser
	rc      *http.ResponseController
	silence time.Duration
}

func (b *body) expect() {
	_ = b.rc.SetReadDeadline(time.Now().Add(b.silence)) // in a test's recorder there is none
}

func (b *body) Read(p []byte) (int, error) {
	b.expect()
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
