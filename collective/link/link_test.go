package link

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func encode(t testing.TB, h *Header, payload []byte) []byte {
	b := NewBuffer(len(payload))
	defer b.Release()
	copy(b.Bytes(), payload)
	var head [HeaderBytes]byte
	if err := h.Encode(&head, b); err != nil {
		t.Fatal(err)
	}
	return append(head[:], payload...)
}

var full = Header{Kind: KindData, Op: 1, Phase: PhaseSum, Seq: 2, Epoch: 3, Group: 4, Step: 5, Check: 6, Layout: 7,
	Total: 8, Offset: 9, Count: 10, Layer: 11, Source: 12, Parts: 13}

// TestRoundTrip: every field arrives, wherever the message is cut.
func TestRoundTrip(t *testing.T) {
	raw := encode(t, &full, []byte("payload"))
	for cut := range raw {
		f, err := Decode([][]byte{raw[:cut], raw[cut:]})
		if err != nil {
			t.Fatal(err)
		}
		if f.Header != full || string(bytes.Join(f.Pieces, nil)) != "payload" || f.PayloadBytes() != 7 {
			t.Fatalf("cut at %d: %+v", cut, f)
		}
	}
}

// TestFlips: any one bit that flips is noticed.
func TestFlips(t *testing.T) {
	raw := encode(t, &full, []byte("payload"))
	for i := range 8 * len(raw) {
		harmed := bytes.Clone(raw)
		harmed[i/8] ^= 1 << (i % 8)
		if _, err := Decode([][]byte{harmed}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range raw {
		if _, err := Decode([][]byte{raw[:n]}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	other := bytes.Clone(raw)
	other[4] = 9
	if _, err := Decode([][]byte{other}); err == nil || !strings.Contains(err.Error(), "protocol version 9") {
		t.Error(err)
	}
}

func TestBye(t *testing.T) {
	for _, want := range []Bye{{false, "done"}, {true, strings.Repeat("x", 5000)}, {}} {
		h, b := ByeFrame(want)
		raw := encode(t, h, b.Bytes())
		b.Release()
		_, err := Decode([][]byte{raw[:100%len(raw)], raw[100%len(raw):]})
		got, ok := errors.AsType[*Bye](err)
		if !ok || got.Failed != want.Failed || got.Reason != want.Reason[:min(len(want.Reason), MaxReason)] {
			t.Errorf("%v", err)
		}
	}
}

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, 2048, 2049, MaxPayloadBytes, MaxPayloadBytes + 1} {
		b := NewBuffer(n)
		if len(b.Bytes()) != n || cap(b.Bytes()) <= 1024 {
			t.Errorf("%d bytes: %d, capacity %d", n, len(b.Bytes()), cap(b.Bytes()))
		}
		b.Retain()
		b.Release()
		b.Release()
		mustPanic(t, b.Release)
		mustPanic(t, b.Retain)
	}
	big := NewBuffer(MaxPayloadBytes + 1)
	if err := (&Header{}).Encode(new([HeaderBytes]byte), big); err == nil {
		t.Error("a payload over the limit was encoded")
	}
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, &full, []byte("payload")), uint8(3))
	h, b := ByeFrame(Bye{Reason: "x"})
	f.Add(encode(f, h, b.Bytes()), uint8(99))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8) {
		n := min(int(cut), len(raw))
		frame, err := Decode([][]byte{raw[:n], raw[n:]})
		if err == nil && frame.PayloadBytes() != len(raw)-HeaderBytes {
			t.Fatal(frame)
		}
	})
}
