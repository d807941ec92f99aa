package view

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestHowLongANodeHasBeenReady(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	node := func(uid types.UID, ready bool, since time.Time) *Node {
		return &Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: uid}, Ready: ready, Since: since}
	}
	ready := node("1", true, noon.Add(-time.Hour))
	for name, c := range map[string]struct {
		seen []*Node // one per minute, from noon on
		want time.Duration
	}{
		"since it was first seen, whatever it says":    {[]*Node{ready}, 10 * time.Minute},
		"what is seen again changes nothing":           {[]*Node{ready, ready, ready}, 10 * time.Minute},
		"not while it is not Ready":                    {[]*Node{ready, node("1", false, noon)}, 0},
		"from the moment that it is Ready again":       {[]*Node{ready, node("1", false, noon), node("1", true, noon)}, 8 * time.Minute},
		"not Ready for a moment that the watch missed": {[]*Node{ready, node("1", true, noon)}, 9 * time.Minute},
		"another node of the same name":                {[]*Node{ready, node("2", true, ready.Since)}, 9 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans := ReadySpans{}
			for i, n := range c.seen {
				spans.See(n, noon.Add(time.Duration(i)*time.Minute))
			}
			if _, got := spans.Of("n", noon.Add(10*time.Minute)); got != c.want {
				t.Errorf("Ready for %s, want %s", got, c.want)
			}
		})
	}
}
