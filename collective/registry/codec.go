package registry

import (
	"encoding/json"
	"errors"
	"fmt"
)

// schema is the version of all values that this package writes. It grows when a
// reader of the old one would go wrong, not when a field is added.
const schema = 1

// ErrNewerSchema is of a value that a newer release wrote in a way that this
// one can't read.
var ErrNewerSchema = errors.New("written by a newer release")

// ErrMalformed is of a value that no release writes.
var ErrMalformed = errors.New("malformed value")

type envelope[R any] struct {
	Schema int `json:"schema"`
	Record R   `json:"record"`
}

func encode[R any](record R) ([]byte, error) {
	b, err := json.Marshal(envelope[R]{schema, record})
	if err != nil {
		return nil, fmt.Errorf("registry: encode: %w", err)
	}
	return b, nil
}

// decode reads the value of a key and validates it. Its errors name the key and
// are ErrNewerSchema or ErrMalformed.
func decode[R interface{ validate() error }](key string, value []byte) (R, error) {
	var none R
	// The schema alone first: the record of a newer one may have any form.
	var head envelope[json.RawMessage]
	if err := json.Unmarshal(value, &head); err != nil {
		return none, fmt.Errorf("registry: %s: %w: %v", key, ErrMalformed, err)
	}
	if head.Schema > schema {
		return none, fmt.Errorf("registry: %s: %w (schema %d, this release reads up to %d): upgrade this process", key, ErrNewerSchema, head.Schema, schema)
	}
	if head.Schema < 1 {
		return none, fmt.Errorf("registry: %s: %w: no schema", key, ErrMalformed)
	}
	var record R
	if err := json.Unmarshal(head.Record, &record); err != nil {
		return none, fmt.Errorf("registry: %s: %w: %v", key, ErrMalformed, err)
	}
	if err := record.validate(); err != nil {
		return none, fmt.Errorf("registry: %s: %w: %v", key, ErrMalformed, err)
	}
	return record, nil
}
