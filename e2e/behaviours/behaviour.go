package behaviours

import (
	"slices"
	"strings"
	"testing"
	"time"

	"spidernet.io/spiderpool/e2e/checker"
)

// Behaviour is one thing that the product promises.
type Behaviour struct {
	// ID is the stem of its files and the beginning of all names it makes.
	ID string
	// Also are namespaces and pools of its own whose names do not begin with it.
	Also []string
	// Manifest is applied before Test; the pools in it are Ready then.
	Manifest []byte
	// Test proves it.
	Test func(t *testing.T, e *Env)
}

// settle is the time in which a behaviour's leftovers must have gone: expiry of
// a reservation that no pod came for is the longest of them.
const settle = Grace + 15*time.Second

// Run proves each behaviour in parallel and has the checker look after it.
func Run(t *testing.T, e *Env, all []Behaviour) {
	for _, b := range all {
		t.Run(b.ID, func(t *testing.T) {
			t.Parallel()
			e.Apply(t, b.Manifest)
			b.Test(t, e)
			if t.Failed() {
				return // what it left half-done would only add noise
			}
			e.Consistent(t, b.owns)
		})
	}
}

// owns reports whether a namespace or a pool of that name is b's.
func (b Behaviour) owns(name string) bool {
	return name == b.ID || slices.Contains(b.Also, name) || strings.HasPrefix(name, b.ID+"-")
}

// Consistent has the checker look at what is owned until it finds nothing.
func (e *Env) Consistent(t *testing.T, owned func(name string) bool) {
	t.Helper()
	found, err := checker.SettledOf(t.Context(), e.Client, settle, func(s checker.Snapshot) checker.Snapshot {
		return s.Of(owned)
	})
	if err != nil {
		t.Fatalf("checking: %v", err)
	}
	if len(found) > 0 {
		t.Errorf("not consistent:\n%s", checker.Format(found))
	}
}
