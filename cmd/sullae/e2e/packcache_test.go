package e2e

import (
	"reflect"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

var shareLoaded = regexp.MustCompile(`msg="share loaded".* bytes=(\d+) bytes_read=(\d+) bytes_cached=(\d+)`)

// TestPackCacheThroughUp: a cluster that starts again with its pack cache takes
// all matrices from there, also with another number of workers, and gives the
// same bits.
func TestPackCacheThroughUp(t *testing.T) {
	long(t)
	dir := t.TempDir()
	ask := func(workers string, kept int) (c completion, read, cached int) {
		p := up(t, "--quant", "q8", "--workers", workers, "--pack-cache", dir)
		defer p.stop(syscall.SIGTERM)
		c, err := p.complete(map[string]any{"model": p.model, "prompt": "The capital of Korea is", "max_tokens": 8, "temperature": 0, "logprobs": 3, "ignore_eos": true, "return_token_ids": true})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "units kept", func() bool {
			return len(regexp.MustCompile("units kept on disk").FindAllString(p.log.String(), -1)) >= kept
		})
		for _, m := range shareLoaded.FindAllStringSubmatch(p.log.String(), -1) {
			r, _ := strconv.Atoi(m[2])
			k, _ := strconv.Atoi(m[3])
			read, cached = read+r, cached+k
		}
		return c, read, cached
	}
	first, read, cached := ask("2", 2)
	if cached > read || read < 1<<20 {
		t.Fatalf("first start: %d bytes read, %d from an empty cache", read, cached)
	}
	for _, workers := range []string{"2", "3", "1"} {
		again, read, cached := ask(workers, 0)
		if !reflect.DeepEqual(again.Choices[0].Logprobs, first.Choices[0].Logprobs) {
			t.Errorf("%s workers: other bits than the first start", workers)
		}
		if read > 64<<10 || cached < 1<<20 {
			t.Errorf("%s workers: %d bytes read, %d from the cache; the norms alone should be read", workers, read, cached)
		}
	}
}
