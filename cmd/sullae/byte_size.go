package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a number of bytes, on the command line with a unit: 500MB, 2GiB.
type byteSize int64

var byteUnits = []struct {
	suffix string
	size   float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1}, {"", 1},
}

// UnmarshalText reads a size.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.ToLower(string(text))
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v >= 1) || v*u.size >= math.MaxInt64 {
			break
		}
		*b = byteSize(v * u.size)
		return nil
	}
	return fmt.Errorf("%q is not a size in bytes, such as 500MB or 2GiB", text)
}

// String is the size as UnmarshalText reads it.
func (b byteSize) String() string { return strconv.FormatInt(int64(b), 10) }
