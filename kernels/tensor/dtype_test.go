package tensor

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestHalfToFloat32(t *testing.T) {
	for h := range 1 << 16 {
		sign := 1 - 2*float64(h>>15)
		exp, man := h>>10&0x1f, float64(h&0x3ff)
		want := sign * math.Ldexp(1024+man, exp-25)
		switch {
		case exp == 0:
			want = math.Copysign(math.Ldexp(man, -24), sign)
		case exp == 31 && man == 0:
			want = math.Inf(int(sign))
		case exp == 31:
			want = math.NaN()
		}
		got := HalfToFloat32(uint16(h))
		if math.IsNaN(want) != (got != got) || !math.IsNaN(want) && math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("%#04x: %v, want %v", h, got, want)
		}
	}
}

func TestFloat32ToBF16(t *testing.T) {
	for _, c := range []struct {
		f    float32
		want uint16
	}{
		{1, 0x3f80}, {-2, 0xc000}, {0, 0}, {float32(math.Inf(1)), 0x7f80}, {math.MaxFloat32, 0x7f80},
		{math.Float32frombits(0x3f808000), 0x3f80}, // ties go to even
		{math.Float32frombits(0x3f818000), 0x3f82},
		{math.Float32frombits(0x3f808001), 0x3f81},
		{math.Float32frombits(0x3f807fff), 0x3f80},
	} {
		if got := Float32ToBF16(c.f); got != c.want {
			t.Errorf("%x: %#04x, want %#04x", c.f, got, c.want)
		}
	}
	for _, u := range []uint32{0x7f800001, 0x7fc00000, 0xffffffff} {
		if got := Float32ToBF16(math.Float32frombits(u)); got&0x7fff <= 0x7f80 {
			t.Errorf("NaN %#x became %#04x", u, got)
		}
	}
}

func TestWiden(t *testing.T) {
	for _, d := range []DType{F32, BF16, F16} {
		if parsed, ok := ParseDType(d.String()); !ok || parsed != d {
			t.Errorf("ParseDType(%q) = %v, %v", d, parsed, ok)
		}
		want := []float32{1.5, -0.25, 2, 0}
		raw := make([]byte, len(want)*d.Size())
		for i, f := range want {
			switch d {
			case F32:
				binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(f))
			case BF16:
				binary.LittleEndian.PutUint16(raw[2*i:], Float32ToBF16(f))
			case F16:
				binary.LittleEndian.PutUint16(raw[2*i:], [...]uint16{0x3e00, 0xb400, 0x4000, 0}[i])
			}
		}
		got := make([]float32, len(want))
		Widen(got, raw, d)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%v: element %d is %v, want %v", d, i, got[i], want[i])
			}
		}
	}
	if _, ok := ParseDType("I16"); ok || Invalid.Size() != 0 {
		t.Error("a type that no kernel takes was accepted")
	}
}

// TestCodes holds codes to their definitions, e4m3 for every byte.
func TestCodes(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for _, d := range []DType{I8, U4, I4, F8} {
		if parsed, ok := ParseDType(d.String()); !ok || parsed != d || !d.Coded() {
			t.Errorf("ParseDType(%q) = %v, %v", d, parsed, ok)
		}
		got := make([]float32, 256*8/dtypes[d].bits)
		Widen(got, all[:], d)
		for i, g := range got {
			var want float64
			switch b := i; d {
			case I8:
				want = float64(int8(b))
			case U4, I4:
				want = float64(i / 2 >> (4 * (i % 2)) % 16)
				if d == I4 && want > 7 {
					want -= 16
				}
			case F8:
				exp, man := b>>3&15, float64(b&7)
				want = math.Ldexp(8+man, exp-10)
				if exp == 0 {
					want = math.Ldexp(man, -9)
				}
				if b&127 == 127 {
					want = math.NaN()
				}
				want = math.Copysign(want, 1-2*float64(b>>7))
			}
			if float64(g) != want && !(g != g && want != want) {
				t.Fatalf("%v: element %d is %v, want %v", d, i, g, want)
			}
		}
	}
}

// TestFloat32ToF16 holds every binary16 value, and what lies between two of
// them, to the nearest.
func TestFloat32ToF16(t *testing.T) {
	for h := range uint16(0x7c00) {
		f := HalfToFloat32(h)
		if got := Float32ToF16(f); got != h {
			t.Fatalf("%x: %g became %x", h, f, got)
		}
		if got := Float32ToF16(-f); got != h|0x8000 {
			t.Fatalf("%x: %g became %x", h, -f, got)
		}
		next := float32(65536)
		if h < 0x7bff {
			next = HalfToFloat32(h + 1)
		}
		mid := (f + next) / 2
		for _, c := range []struct {
			f    float32
			want uint16
		}{{mid, h + h&1}, {math.Nextafter32(mid, 0), h}, {math.Nextafter32(mid, next), h + 1}} {
			if got := Float32ToF16(c.f); got != c.want {
				t.Fatalf("%x: %g became %x, want %x", h, c.f, got, c.want)
			}
		}
	}
	if got := Float32ToF16(float32(math.Inf(-1))); got != 0xfc00 {
		t.Errorf("-Inf became %x", got)
	}
	if got := HalfToFloat32(Float32ToF16(float32(math.NaN()))); got == got {
		t.Errorf("NaN became %g", got)
	}
}
