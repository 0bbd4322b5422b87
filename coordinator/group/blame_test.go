package group

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// TestBlame: where ranks cannot reach each other the one that is silent to the
// coordinator too is lost; else one of the pair is left out.
func TestBlame(t *testing.T) {
	e := &epoch{members: []registry.Worker{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}}
	all := []bool{true, true, true, true}
	for _, c := range []struct {
		name       string
		work       []float64
		complaints []complaint
		answers    []bool
		worker     string
		apart      []string
	}{
		{"alike: the highest rank", []float64{2, 2, 2, 2}, []complaint{{0, 2}}, all, "c", []string{"a"}},
		{"whoever complains", []float64{2, 2, 2, 2}, []complaint{{2, 0}, {0, 2}}, all, "c", []string{"a"}},
		{"the lesser share", []float64{1, 2, 2, 2}, []complaint{{0, 2}}, all, "a", []string{"c"}},
		{"apart from most", []float64{9, 1, 1, 1}, []complaint{{1, 0}, {0, 3}}, all, "a", []string{"b", "d"}},
		{"silent to us, too", []float64{2, 2, 2, 2}, []complaint{{0, 2}}, []bool{false, true, true, true}, "a", nil},
		{"silent, and not named", []float64{2, 2, 2, 2}, []complaint{{0, 2}}, []bool{true, false, true, true}, "c", []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var re *rankError
			err := e.blame(c.work, c.complaints, c.answers, errors.New("cut"))
			if !errors.As(err, &re) || !re.lost || re.worker != c.worker || !slices.Equal(re.apart, c.apart) {
				t.Errorf("%+v", re)
			}
		})
	}
}

// TestRift: of two that cannot reach each other one is left out, also for long,
// until they do; a spare comes first; and whoever is alone is not left out.
func TestRift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		heal := make(chan bool)
		w := newWatcher(ctx, Config{Workers: 3, MinWorkers: 1, Placement: &placement{}})
		w.heals = func(ctx context.Context, from, to registry.Worker) bool {
			if from.ID != "a" || to.ID != "c" {
				t.Errorf("%s is asked whether it reaches %s", from.ID, to.ID)
			}
			select {
			case <-heal:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for _, id := range []string{"a", "b", "c", "spare"} {
			w.workers = append(w.workers, registry.Worker{ID: id, Instance: "1", ProtocolVersion: ProtocolVersion})
		}
		w.last = w.workers[:3]
		w.suspect(&rankError{worker: "c", lost: true, apart: []string{"a"}, err: errors.New("cut")})
		expect := func(want string) {
			t.Helper()
			if got := names(w.usable()); got != want {
				t.Errorf("usable are %s, want %s", got, want)
			}
		}
		expect("a b spare")
		if got := names(w.choose(w.usable(), 3)); got != "a b spare" {
			t.Errorf("chosen are %s", got)
		}
		time.Sleep(time.Hour)
		expect("a b spare")
		w.cfg.Dead = func(id string) bool { return id == "a" }
		expect("b c spare")
		w.cfg.Dead = nil
		w.cfg.MinWorkers = 4
		expect("a b c spare")
		w.cfg.MinWorkers = 1
		heal <- true
		synctest.Wait()
		expect("a b c spare")
		// A new process is asked anew.
		w.suspect(&rankError{worker: "c", lost: true, apart: []string{"a"}, err: errors.New("cut")})
		expect("a b spare")
		w.workers[0].Instance = "2"
		expect("a b c spare")
		synctest.Wait()
	})
}
