package view

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// counted is a view of the pods that was listed so many times.
type counted struct {
	lists    uint64
	answered bool
}

func (c *counted) Lists() uint64 { return c.lists }

func (c *counted) Listed() (uint64, bool) { return c.lists, c.answered }

func (*counted) AddEventHandler(cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return nil, nil //nolint:nilnil // not used
}

// carrier returns a pod with a token and an address, and with a node unless that is empty.
func carrier(uid, token, node string, revision uint64) *Pod {
	return &Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: types.UID(uid)}, Token: token, Node: node, Revision: revision,
		Claims: []crdv1.Claim{{Pool: "p"}},
	}
}

func finished(p *Pod) *Pod {
	p.Finished = true
	return p
}

func TestWhatIsKnownOfThePodOfAReservation(t *testing.T) {
	t.Parallel()
	const token, other = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
	type step = func(*Arrivals, *counted)
	look := func(a *Arrivals, _ *counted) { _ = a.Look(context.Background()) }
	event := func(deliver func(*Arrivals)) step { return func(a *Arrivals, _ *counted) { deliver(a) } }
	for name, c := range map[string]struct {
		awaited Awaited // in all pools when they were read
		fails   error   // the error of reading them
		steps   []step
		needed  uint64
		want    Arrival
	}{
		"no pod came":                 {steps: []step{look}, want: NoneVanished},
		"the pools were not read":     {},
		"they could not be read":      {fails: errors.New("no"), steps: []step{look}},
		"it was reserved before":      {awaited: Awaited{Tokens: map[allocator.Token]bool{token: true}}, steps: []step{look}},
		"another was reserved before": {awaited: Awaited{Tokens: map[allocator.Token]bool{other: true}}, steps: []step{look}, want: NoneVanished},
		"its pool was unreadable":     {awaited: Awaited{Unreadable: map[string]bool{"p": true}}, steps: []step{look}},
		"another was":                 {awaited: Awaited{Unreadable: map[string]bool{"q": true}}, steps: []step{look}, want: NoneVanished},
		"pods are being listed":       {steps: []step{func(_ *Arrivals, c *counted) { c.answered = false }, look}},
		"pods were listed again":      {steps: []step{look, func(_ *Arrivals, c *counted) { c.lists++ }}},
		"and the pools read again":    {steps: []step{look, func(_ *Arrivals, c *counted) { c.lists++ }, look}, want: NoneVanished},
		"its pod is there":            {steps: []step{look, event(func(a *Arrivals) { a.OnAdd(carrier("1", token, "n", 7), false) })}, want: NoneVanished},
		"its pod was seen finished":   {steps: []step{look, event(func(a *Arrivals) { a.OnDelete(finished(carrier("1", token, "n", 7))) })}, want: NoneVanished},
		"its pod never had a node":    {steps: []step{look, event(func(a *Arrivals) { a.OnDelete(carrier("1", token, "", 7)) })}, want: NoneVanished},
		"its pod was deleted":         {steps: []step{look, event(func(a *Arrivals) { a.OnDelete(carrier("1", token, "n", 7)) })}},
		"another was deleted":         {steps: []step{look, event(func(a *Arrivals) { a.OnDelete(carrier("1", other, "n", 7)) })}, want: NoneVanished},
		"the watch skipped its end": {steps: []step{look, event(func(a *Arrivals) {
			a.OnDelete(cache.DeletedFinalStateUnknown{Obj: carrier("1", token, "", 7)})
		})}},
		"another of its name is there":  {steps: []step{look, event(func(a *Arrivals) { a.OnUpdate(carrier("1", token, "", 7), carrier("2", other, "", 8)) })}},
		"its pod no longer carries it":  {steps: []step{look, event(func(a *Arrivals) { a.OnUpdate(carrier("1", token, "n", 7), carrier("1", other, "n", 8)) })}},
		"its pod changed otherwise":     {steps: []step{look, event(func(a *Arrivals) { a.OnUpdate(carrier("1", token, "n", 7), carrier("1", token, "n", 8)) })}, want: NoneVanished},
		"not all events were delivered": {steps: []step{look, event(func(a *Arrivals) { a.OnAdd(carrier("1", other, "n", 7), false) })}, needed: 8, want: NotToldYet},
		"all events were delivered":     {steps: []step{look, event(func(a *Arrivals) { a.OnAdd(carrier("1", other, "n", 8), false) })}, needed: 8, want: NoneVanished},
		"too many vanished":             {steps: []step{look, event(overflow)}},
		"and the pools were read then":  {steps: []step{look, event(overflow), look}, want: NoneVanished},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists := &counted{1, true}
			a, err := NewArrivals(lists, func(context.Context) (Awaited, error) { return c.awaited, c.fails })
			if err != nil {
				t.Fatal(err)
			}
			for _, do := range c.steps {
				do(a, lists)
			}
			if got := a.Of("p", token, c.needed); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// overflow makes more pods vanish than are remembered.
func overflow(a *Arrivals) {
	for i := range maxVanished + 1 {
		a.OnDelete(carrier("1", fmt.Sprint(i), "n", 7))
	}
}

func TestTooManyPodsVanishWhileThePoolsAreRead(t *testing.T) {
	t.Parallel()
	var a *Arrivals
	a, err := NewArrivals(&counted{1, true}, func(context.Context) (Awaited, error) {
		a.OnDelete(carrier("1", "aaaaaaaaaaaaaaaa", "n", 7))
		overflow(a)
		return Awaited{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.Of("p", "aaaaaaaaaaaaaaaa", 0); got != MayHaveVanished {
		t.Errorf("got %d although its pod vanished and was forgotten", got)
	}
}

func TestNilArrivalsProveNothing(t *testing.T) {
	t.Parallel()
	if got := (*Arrivals)(nil).Of("p", "aaaaaaaaaaaaaaaa", 0); got != MayHaveVanished {
		t.Errorf("got %d", got)
	}
}
