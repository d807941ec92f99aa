package behaviours

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"spidernet.io/spiderpool/allocator/check"
)

// Behaviour is one thing that the product promises.
type Behaviour struct {
	// ID is the stem of its files and the beginning of all names it makes.
	ID string
	// Also are namespaces and pools of its own whose names do not begin with it.
	Also []string
	// Manifest is applied before Test; the pools in it are Ready then.
	Manifest []byte
	// Before makes what must be there before the product is installed, where the suite starts a
	// cluster. It may be nil.
	Before func(ctx context.Context, e *Env) error
	// Alone proves the part of it that would disturb others, such as what happens while the
	// controller is stopped. Nothing else is under way then: all Alones run before any Test. It may
	// be nil.
	Alone func(t *testing.T, e *Env)
	// Test proves it, in parallel to others.
	Test func(t *testing.T, e *Env)
}

// settle is the time in which a behaviour's leftovers must have gone: expiry of a reservation that
// no pod came for is the longest of them.
const settle = Grace + 15*time.Second

// Run proves each behaviour, in parallel but for what has to be alone, and has the checker look
// after it.
func Run(t *testing.T, e *Env, all []Behaviour) {
	for _, b := range all {
		t.Run(b.ID, func(t *testing.T) { b.run(t, e) })
	}
}

func (b Behaviour) run(t *testing.T, e *Env) {
	if b.Alone == nil {
		t.Parallel()
	}
	e.Apply(t, b.Manifest)
	if b.Alone != nil {
		b.Alone(t, e)
		if t.Failed() {
			return
		}
		t.Parallel() // only now Run goes on to the next
	}
	b.Test(t, e)
	if t.Failed() {
		return // what it left half-done would only add noise
	}
	e.Consistent(t, b.owns)
}

// owns reports whether a namespace or a pool of that name is b's.
func (b Behaviour) owns(name string) bool {
	return name == b.ID || slices.Contains(b.Also, name) || strings.HasPrefix(name, b.ID+"-")
}

// Consistent has the checker look at what is owned until it finds nothing.
func (e *Env) Consistent(t *testing.T, owned func(name string) bool) {
	t.Helper()
	found, err := check.SettledOf(t.Context(), e.Client, settle, func(s check.Snapshot) check.Snapshot {
		return s.Of(owned)
	})
	if err != nil {
		t.Fatalf("checking: %v", err)
	}
	if len(found) > 0 {
		t.Errorf("not consistent:\n%s", check.Format(found))
	}
}
