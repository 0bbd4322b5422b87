package member

import (
	"testing"
	"time"
)

func TestView(t *testing.T) {
	now := time.Unix(0, 0)
	v := newView(func() time.Time { return now })
	event := func(typ EventType, id string) { v.note(Event{Type: typ, Node: Node{ID: "w#" + id, Name: "w"}}) }
	dead := func(after time.Duration, want bool, when string) {
		t.Helper()
		now = now.Add(after)
		if got := v.Dead("w"); got != want {
			t.Errorf("%s: dead is %v", when, got)
		}
	}
	dead(time.Hour, false, "never seen")
	event(Joined, "1")
	dead(time.Hour, false, "alive")
	event(Gone, "1")
	dead(Grace-1, false, "gone within the grace")
	event(Joined, "1")
	dead(time.Hour, false, "back")
	event(Gone, "1")
	dead(Grace, true, "gone for the grace")
	event(Joined, "2")
	dead(0, false, "a new incarnation")
	event(Gone, "1")
	dead(time.Hour, false, "an old incarnation goes again")
}
