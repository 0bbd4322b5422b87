package checkpoint

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// headerParser walks the header's JSON token by token, because decoding into
// structs would pass over repeated and misspelt members.
type headerParser struct {
	dec     *json.Decoder
	seen    map[string]bool
	entries []entry
}

// object reads an object and calls member for each key, which reads the value.
func (p *headerParser) object(member func(key string) error) error {
	if t, err := p.dec.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("%s where an object belongs", quote(t))
	}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		if err := member(t.(string)); err != nil { // a key is always a string
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

// member reads one member of the header: __metadata__ or a tensor.
func (p *headerParser) member(name string) error {
	if p.seen[name] {
		return fmt.Errorf("tensor %s appears twice", quote(name))
	}
	p.seen[name] = true
	if name == "__metadata__" {
		return p.object(func(key string) error {
			t, err := p.dec.Token()
			if _, ok := t.(string); err == nil && !ok {
				err = fmt.Errorf("__metadata__: %s: %s where a string belongs", quote(key), quote(t))
			}
			return err
		})
	}
	e := entry{Name: name, Begin: -1}
	err := p.object(func(key string) error {
		switch {
		case key == "dtype" && e.Type == "":
			t, err := p.dec.Token()
			if err != nil {
				return err
			}
			s, ok := t.(string)
			if !ok || elementBits[s] == 0 {
				return fmt.Errorf("dtype %s is not known", quote(t))
			}
			e.Type = s
		case key == "shape" && e.Shape == nil:
			dims, err := p.numbers("shape")
			if err != nil {
				return err
			}
			e.Shape = make([]int, len(dims))
			for i, d := range dims {
				if e.Shape[i] = int(d); int64(e.Shape[i]) != d { // where int has 32 bits
					return fmt.Errorf("shape %v is too large for this machine", dims)
				}
			}
		case key == "data_offsets" && e.Begin < 0:
			at, err := p.numbers("data_offsets")
			if err != nil {
				return err
			}
			if len(at) != 2 || at[0] > at[1] {
				return fmt.Errorf("data_offsets %v are not a beginning and an end", at)
			}
			e.Begin, e.End = at[0], at[1]
		default:
			return fmt.Errorf("member %s is unknown or there twice", quote(key))
		}
		return nil
	})
	if err == nil {
		err = e.check()
	}
	if err != nil {
		return fmt.Errorf("tensor %s: %w", quote(name), err)
	}
	p.entries = append(p.entries, e)
	return nil
}

// numbers reads a list of whole numbers that are not negative.
func (p *headerParser) numbers(what string) ([]int64, error) {
	if t, err := p.dec.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('[') {
		return nil, fmt.Errorf("%s: %s where a list belongs", what, quote(t))
	}
	out := []int64{}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		num, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s: %s where a whole number belongs", what, quote(t))
		}
		v, err := strconv.ParseInt(num.String(), 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s: %s is not a whole number from 0 on that a file can have", what, quote(t))
		}
		if out = append(out, v); len(out) > maxDims {
			return nil, fmt.Errorf("%s has more than %d numbers", what, maxDims)
		}
	}
	_, err := p.dec.Token()
	return out, err
}

// quote shows a JSON token in an error, cut to a sane length.
func quote(t json.Token) string {
	s := fmt.Sprint(t)
	if str, ok := t.(string); ok {
		s = strconv.Quote(str)
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
