package lifecycle

import (
	"testing"
	"time"
)

func TestRemindersAreDueOnceItLastsAndThenEveryMinute(t *testing.T) {
	t.Parallel()
	var r reminders
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, false},
		{9 * time.Second, false},
		{10 * time.Second, true},
		{20 * time.Second, false},
		{30 * time.Second, false},
		{40 * time.Second, false},
		{50 * time.Second, false},
		{60 * time.Second, false},
		{69 * time.Second, false},
		{70 * time.Second, true},
		{90 * time.Second, false}, // it was over in between
		{100 * time.Second, true},
	} {
		if got := r.due("a", moment.Add(c.at), 10*time.Second); got != c.want {
			t.Errorf("after %s: %t", c.at, got)
		}
	}
	if !r.due("b", moment.Add(101*time.Second), 0) {
		t.Error("another matter is another's")
	}
	if r.due("c", moment.Add(time.Hour), time.Second); len(r.all) != 1 {
		t.Errorf("%d matters are remembered, want the one that goes on", len(r.all))
	}
}
