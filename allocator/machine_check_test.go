package allocator_test

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/reference"
)

// Check runs after every action.
func (m *machine) Check(t *rapid.T) {
	if now := m.witness.Encode(); !now.Equal(m.witnessText) {
		t.Fatalf("a clone changed with its twin (-before +after):\n%s", cmp.Diff(m.witnessText, now))
	}
	m.compare(t, m.record)
	text := m.record.Encode()
	read, err := allocator.Decode(text)
	if err != nil {
		t.Fatalf("reading back %+v: %v", text, err)
	}
	if again := read.Encode(); !again.Equal(text) {
		t.Fatalf("text changed (-written +read and written):\n%s", cmp.Diff(text, again))
	}
	m.compare(t, read)
}

func (m *machine) compare(t *rapid.T, r *allocator.Record) {
	t.Helper()
	got := reference.New()
	for a := range r.Settled().All() {
		got.At[a] = reference.Entry{State: allocator.StateSettled}
	}
	for a, v := range r.Retained() {
		got.At[a] = reference.Entry{State: allocator.StateRetained, Retention: v}
	}
	for a, v := range r.Awaited() {
		e := got.At[a]
		e.State, e.Reservation = max(e.State, allocator.StateReserved), v
		got.At[a] = e
	}
	for a, v := range r.AllHeld() {
		e := got.At[a]
		if e.Hold = v; e.State == allocator.StateFree {
			e.State = allocator.StateHeld
		}
		got.At[a] = e
	}
	got.SeenThrough, got.Grace, got.Term = r.SeenThrough(), r.LongestGrace(), r.Term()
	if !maps.Equal(got.At, m.model.At) || got.SeenThrough != m.model.SeenThrough || got.Grace != m.model.Grace || got.Term != m.model.Term {
		t.Fatalf("record differs (-model +record):\n%s", cmp.Diff(m.model, got, addrs))
	}
	m.compareLookups(t, r)
	free := 0
	for _, a := range m.inSpace {
		if _, taken := m.model.At[a]; !taken {
			free++
		}
	}
	if n := allocator.Free(m.space, r); n != uint64(free) {
		t.Fatalf("%d free, want %d", n, free)
	}
	settled := m.model.Where(func(e reference.Entry) bool { return e.State == allocator.StateSettled })
	if text := reference.Expand(r.Encode().Settled); !slices.Equal(text, settled) {
		t.Fatalf("settled text says otherwise (-model +text):\n%s", cmp.Diff(settled, text, addrs))
	}
}

func (m *machine) compareLookups(t *rapid.T, r *allocator.Record) {
	t.Helper()
	for _, a := range m.universe {
		e := m.model.At[a]
		got := reference.Entry{State: r.State(a)}
		got.Retention, _ = r.RetainedAt(a)
		got.Reservation, _ = r.AwaitedAt(a)
		got.Hold, _ = r.HoldAt(a)
		if got != e {
			t.Fatalf("%s: %+v, want %+v", a, got, e)
		}
		if r.Contains(a) != (e.State != allocator.StateFree) || r.InUse(a) != e.InUse() || r.Use(a) != use(e) {
			t.Fatalf("%s: taken %v, use %v, want %+v", a, r.Contains(a), r.Use(a), e)
		}
	}
	for what, pair := range map[string][2][]netip.Addr{
		"in use":  {slices.Collect(r.AllInUse()), m.model.Where(reference.Entry.InUse)},
		"awaited": {slices.Collect(keys(r.Awaited())), m.model.Where(reference.Entry.Awaited)},
		"held":    {slices.Collect(keys(r.AllHeld())), m.model.Where(reference.Entry.Held)},
		"retained": {slices.Collect(keys(r.Retained())),
			m.model.Where(retainedEntry)},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Fatalf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	for _, tok := range someTokens {
		var all []netip.Addr
		for _, nic := range []string{"", "eth1", "net1"} {
			got, ok := r.ByToken(tok, nic)
			if want, wantOK := m.model.ByToken(tok, nic); got != want || ok != wantOK {
				t.Fatalf("token %s for NIC %q at %v, want %v", tok, nic, got, want)
			}
			if ok {
				all = append(all, got)
			}
		}
		if got := r.AllByToken(tok); !slices.Equal(got, all) {
			t.Fatalf("token %s at %v, want %v", tok, got, all)
		}
	}
	for _, i := range someOwners {
		for _, i.Pod = range somePods {
			for _, i.NIC = range someNICs {
				got, ok := r.ByIdentity(i)
				if want, wantOK := m.model.ByIdentity(i); got != want || ok != wantOK {
					t.Fatalf("%s at %v, want %v", i, got, want)
				}
			}
		}
	}
	want := allocator.Counts{}
	for _, e := range m.model.At {
		*map[allocator.State]*int{allocator.StateSettled: &want.Settled, allocator.StateReserved: &want.Reserved,
			allocator.StateRetained: &want.Retained, allocator.StateHeld: &want.Held}[e.State]++
		*map[allocator.Use]*int{allocator.Unassigned: new(int), allocator.PendingAdmission: &want.PendingAdmission,
			allocator.InUse: &want.RetainedInUse, allocator.Held: &want.RetainedHeld}[e.Retention.Use]++
	}
	if r.Counts() != want || r.Count() != len(m.model.At) {
		t.Fatalf("%d taken: %+v, want %d: %+v", r.Count(), r.Counts(), len(m.model.At), want)
	}
}

func use(e reference.Entry) allocator.Use {
	switch {
	case e.InUse():
		return allocator.InUse
	case e.Awaited():
		return allocator.PendingAdmission
	case e.Held():
		return allocator.Held
	}
	return allocator.Unassigned
}

func keys[V any](all iter.Seq2[netip.Addr, V]) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for a := range all {
			if !yield(a) {
				return
			}
		}
	}
}
