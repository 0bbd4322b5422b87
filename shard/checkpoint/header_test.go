package checkpoint

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	entries, err := parseHeader([]byte(`{"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
		"__metadata__":{"format":"pt"},
		"a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},
		"c":{"dtype":"I64","shape":[0,7],"data_offsets":[16,16]}}   `), 16)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 || entries[0].Name != "a" || entries[1].Name != "b" || entries[2].Name != "c" ||
		entries[1].Begin != 4 || entries[1].End != 16 || len(entries[1].Shape) != 2 {
		t.Errorf("got %+v", entries)
	}
}

func TestParseHeaderErrors(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for _, c := range []struct {
		text string
		data int64
		want string
	}{
		{`{`, 0, "header: it ends too early"},
		{`{` + a, 8, "header: "},
		{`[]`, 0, "does not start with {"},
		{`{` + a + `}x`, 8, "1 bytes follow its JSON object"},
		{`{` + a + `}{}`, 8, "2 bytes follow its JSON object"},
		{"{\"\xff\":1}", 0, "not UTF-8"},
		{`{` + a + `,` + a + `}`, 8, `tensor "a" appears twice`},
		{`{"__metadata__":{},"__metadata__":{},` + a + `}`, 8, `"__metadata__" appears twice`},
		{`{"__metadata__":{"x":1},` + a + `}`, 8, `__metadata__: "x": 1 where a string belongs`},
		{`{"__metadata__":7,` + a + `}`, 8, `7 where an object belongs`},
		{`{"a":[]}`, 8, `tensor "a": [ where an object belongs`},
		{`{"a":{"shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "a": dtype is missing`},
		{`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8, `tensor "a": shape is missing`},
		{`{"a":{"dtype":"F32","shape":[2]}}`, 8, `tensor "a": data_offsets are missing`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}`, 8, `tensor "a": member "x" is unknown or there twice`},
		{`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "a": member "dtype" is unknown or there twice`},
		{`{"a":{"dtype":"Q3","shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "a": dtype "Q3" is not known`},
		{`{"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "a": dtype 3 is not known`},
		{`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8, `tensor "a": shape: -2 is not a whole number`},
		{`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8, `tensor "a": shape: 2.0 is not a whole number`},
		{`{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}`, 8, `tensor "a": shape: "2" where a whole number belongs`},
		{`{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}`, 8, `tensor "a": shape: 2 where a list belongs`},
		{`{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}`, 8, `tensor "a": shape: [ where a whole number belongs`},
		{`{"a":{"dtype":"F32","shape":[9999999999,9999999999],"data_offsets":[0,8]}}`, 8, `tensor "a": shape [9999999999 9999999999] is larger than any file`},
		{`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}`, 8, `tensor "a": shape: 99999999999999999999 is not`},
		{`{"a":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}}`, 8, `tensor "a": shape [4611686018427387906] is larger than any file`},
		{`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8, `tensor "a": shape [3] of F32 needs 12 bytes, but data_offsets [0, 8] hold 8`},
		{`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1, `tensor "a": shape [3] of F4`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8, `tensor "a": data_offsets [8 0]`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}`, 8, `tensor "a": data_offsets [0]`},
		{`{` + a + `}`, 7, `tensor "a": data_offsets [0, 8] end beyond the 7 bytes of data; the file is truncated`},
		{`{` + a + `}`, 9, `the last tensor ends at byte 8 of the data, but there are 9`},
		{`{` + a + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, `tensor "b": data_offsets [4, 12] overlap those of "a", which end at 8`},
		{`{` + a + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `tensor "b": data_offsets [0, 8] overlap those of "a"`},
		{`{` + a + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}`, 20, `tensor "b": data_offsets [12, 20] leave 4 bytes from 8 that belong to no tensor`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, `leave 4 bytes from 0`},
	} {
		_, err := parseHeader([]byte(c.text), c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n  got  %v\n  want %s", c.text, err, c.want)
		}
	}
}

func TestHeaderLength(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		size int64
		want string
	}{
		{0, 5, "5 bytes are too few"},
		{100, 50, "the header is said to be 100 bytes long, but only 42 follow"},
		{1 << 63, 50, "the header is said to be 9223372036854775808 bytes long, but only 42 follow"},
		{maxHeader + 1, 1 << 40, "at most 100000000 are read"},
		{1, 50, "no safetensors header is so short"},
	} {
		_, err := headerLength(binary.LittleEndian.AppendUint64(nil, c.n), c.size)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d of %d: got %v, want %s", c.n, c.size, err, c.want)
		}
	}
}

// FuzzHeader: no header makes the parser panic, and one that it takes covers
// the data exactly.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]}}`), int64(12))
	f.Add([]byte(`{"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}} `), int64(8))
	f.Add([]byte(`{"a":{"dtype":"F16","shape":[0,3],"data_offsets":[0,0]}}`), int64(0))
	f.Add([]byte(`{}`), int64(0))
	f.Fuzz(func(t *testing.T, text []byte, dataSize int64) {
		if len(text) < 2 || dataSize < 0 {
			return // headerLength sees to that
		}
		entries, err := parseHeader(text, dataSize)
		if err != nil {
			if len(err.Error()) > 1000+2*len(text) {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var at int64
		for _, e := range entries {
			if e.Begin != at || e.End < e.Begin {
				t.Fatalf("%+v after byte %d", e, at)
			}
			n := int64(elementBits[e.Type])
			for _, d := range e.Shape {
				n *= int64(d)
			}
			if n != 8*(e.End-e.Begin) {
				t.Fatalf("%+v: %d bits", e, n)
			}
			at = e.End
		}
		if at != dataSize {
			t.Fatalf("%d of %d bytes are covered", at, dataSize)
		}
	})
}
