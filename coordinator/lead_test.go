package coordinator

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who led before etcd was away has the time to lead again, but no longer than it is there.
func TestGiveWay(t *testing.T) {
	for name, tc := range map[string]struct {
		before string
		dies   time.Duration
		want   time.Duration
	}{
		"nobody led":        {"", time.Hour, 0},
		"itself":            {"c1", time.Hour, 0},
		"it is there":       {"c0", time.Hour, regainTimeout},
		"it is dead":        {"c0", 0, 0},
		"it dies meanwhile": {"c0", time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				giveWay(t.Context(), tc.before, "c1", func(string) bool { return time.Since(began) >= tc.dies })
				if took := time.Since(began); took != tc.want {
					t.Errorf("waited %v, want %v", took, tc.want)
				}
			})
		})
	}
}
