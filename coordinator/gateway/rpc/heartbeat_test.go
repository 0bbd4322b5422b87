package rpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
)

// TestHeart: a client that asks for it hears from a silent stream each second,
// headers first; one that does not, or whose stream is not silent, hears nothing
// more than the stream's own.
func TestHeart(t *testing.T) {
	for _, c := range []struct {
		name  string
		asks  bool
		every time.Duration // of the stream's own messages
		beats int64
	}{
		{"silent", true, time.Hour, int64(10 * time.Second / heartbeatEvery)},
		{"not asked for", false, time.Hour, 0},
		{"talking", true, heartbeatEvery * 7 / 10, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := context.Background()
			if c.asks {
				ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(heartbeatHeader, "1"))
			}
			var headers, beats atomic.Int64
			var announced atomic.Bool
			h := newHeart(ctx, metadata.Pairs("x-request-id", "r"), func(md metadata.MD) error {
				headers.Add(1)
				announced.Store(len(md.Get(heartbeatHeader)) > 0)
				return nil
			}, func() error {
				if headers.Load() == 0 {
					t.Error("a heartbeat before the headers")
				}
				beats.Add(1)
				return nil
			})
			sent := 0
			for end := time.Now().Add(10*time.Second + heartbeatEvery*6/10); time.Now().Before(end); {
				if c.every > 10*time.Second {
					time.Sleep(time.Until(end))
					break
				}
				time.Sleep(c.every)
				if err := h.send(func() error { sent++; return nil }); err != nil {
					t.Error(err)
				}
			}
			h.close()
			if got := beats.Load(); got != c.beats {
				t.Errorf("%s: %d heartbeats in 10 s, want %d", c.name, got, c.beats)
			}
			if want := int64(min(1, int(c.beats)+sent)); headers.Load() != want || want > 0 && announced.Load() != c.asks {
				t.Errorf("%s: headers %d times, heartbeats announced: %v", c.name, headers.Load(), announced.Load())
			}
		})
	}
	// A stream that has ended ends its heartbeats.
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		h := newHeart(metadata.NewIncomingContext(context.Background(), metadata.Pairs(heartbeatHeader, "1")), metadata.MD{},
			func(metadata.MD) error { return nil }, func() error { tries++; return errors.New("gone") })
		time.Sleep(5 * time.Second)
		h.close()
		if tries != 1 {
			t.Errorf("%d tries on a stream that is gone", tries)
		}
	})
}
