package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// checkLeast refuses numbers and durations below what their flag's tag says:
// `min:"1"`, `min:"1s"`.
func checkLeast(k *kong.Context) error {
	for _, f := range k.Flags() {
		text := f.Tag.Get("min")
		if text == "" {
			continue
		}
		below, err := false, error(nil)
		switch v := f.Target.Interface().(type) {
		case time.Duration:
			var least time.Duration
			least, err = time.ParseDuration(text)
			below = v < least
		case int:
			var least int
			least, err = strconv.Atoi(text)
			below = v < least
		case int64:
			var least int64
			least, err = strconv.ParseInt(text, 10, 64)
			below = v < least
		default:
			err = fmt.Errorf("a %T has none", v)
		}
		if err != nil {
			panic(fmt.Sprintf("--%s: least value %q: %v", f.Name, text, err)) // the tag is ours
		}
		if below {
			return fmt.Errorf("--%s %v: must be at least %s", f.Name, f.Target, text)
		}
	}
	return nil
}
