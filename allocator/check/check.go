package check

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Violations returns everything that is wrong in s, in a stable order.
func Violations(s Snapshot) []Violation {
	live := holders(s.Pods)
	pools, found := readPools(s.Pools)
	for _, more := range [][]Violation{
		checkPods(live),
		checkDoubles(live),
		checkForeign(live, s.Nodes),
		checkRecorded(live, pools),
		checkLeaks(live, pools, s.Owners, s.Nodes),
		checkCounters(pools),
		checkSpace(pools),
		checkOverlap(pools),
		checkEndpoints(live, s.Endpoints),
	} {
		found = append(found, more...)
	}
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Detail, b.Detail))
	})
	return found
}

// Check returns everything that is wrong at this moment. See Read for the reader.
func Check(ctx context.Context, c client.Reader) ([]Violation, error) {
	s, err := Read(ctx, c)
	if err != nil {
		return nil, err
	}
	return Violations(s), nil
}

// poll is how often Settled checks.
const poll = 200 * time.Millisecond

// Settled checks until nothing is wrong. A violation that may pass gets the time within, plus its
// own Patience; one that cannot pass ends the wait at once. An empty result means that all is well.
func Settled(ctx context.Context, c client.Reader, within time.Duration) ([]Violation, error) {
	return SettledOf(ctx, c, within, func(s Snapshot) Snapshot { return s })
}

// SettledOf is Settled for a part of each snapshot.
func SettledOf(ctx context.Context, c client.Reader, within time.Duration, part func(Snapshot) Snapshot) ([]Violation, error) {
	var found []Violation
	begun := time.Now()
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		s, err := Read(ctx, c)
		if err != nil {
			return false, err
		}
		found = Violations(part(s))
		return len(found) == 0 || final(found, time.Since(begun), within), nil
	})
	return found, err
}
