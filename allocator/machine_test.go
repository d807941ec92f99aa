package allocator_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/reference"
)

// A Record and the obvious model go through the same random transitions, and after each one everything that can be asked
// of them must agree, in the record itself and in what is read back from its text.
func TestRecordAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, agreement)
}

// FuzzRecord is the same property, steered by coverage.
func FuzzRecord(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreement)) }

func agreement(t *rapid.T) {
	m := newMachine(rapid.Bool().Draw(t, "IPv6"))
	t.Repeat(rapid.StateMachineActions(m))
}

// Few tokens, identities and UIDs, so that they meet.
var (
	someTokens = []allocator.Token{"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "dddddddddddddddd", "2222222222222222"}
	someOwners = []allocator.Identity{
		{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web"},
		{Namespace: "default", Group: "apps.kruise.io", Kind: "StatefulSet", Name: "web"},
		{Namespace: "kube-system", Kind: "Bare", Name: "web"},
	}
	somePods   = []string{"web-0", "web-10", "web", "other-0"}
	someUIDs   = []string{"", "5e1f", "9a0b"}
	someGraces = []time.Duration{0, 10 * time.Second, allocator.DefaultGrace, allocator.DefaultGrace + 1, time.Hour}
)

type machine struct {
	record *allocator.Record
	model  *reference.Model

	recent   allocator.Recent
	gaveBack map[netip.Addr]time.Time // address -> when given back last, never pruned
	now      time.Time

	space    allocator.Space
	inSpace  []netip.Addr
	universe []netip.Addr // the space and its surroundings
	hot      []netip.Addr // few, so that transitions meet

	witness     *allocator.Record // a clone, or what was cloned: must not change
	witnessText allocator.Encoded
}

func newMachine(v6 bool) *machine {
	universe, holes := "10.0.0.200-10.0.2.60", []string{"10.0.0.203", "10.0.2.0-10.0.2.9"}
	space := "10.0.0.201-10.0.2.55"
	if v6 {
		universe, holes = "fc00::fef0-fc00::1:20", []string{"fc00::fef4", "fc00::1:0-fc00::1:4"}
		space = "fc00::fef2-fc00::1:1f"
	}
	m := &machine{
		record: &allocator.Record{}, model: reference.New(), gaveBack: map[netip.Addr]time.Time{},
		now:      time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		universe: reference.Expand([]string{universe}),
		witness:  &allocator.Record{},
	}
	exclude := ranges(holes...)
	m.space = must(allocator.NewSpace(ranges(space), exclude))
	for _, a := range reference.Expand([]string{space}) {
		if !slices.ContainsFunc(exclude, func(r netipx.IPRange) bool { return r.Contains(a) }) {
			m.inSpace = append(m.inSpace, a)
		}
	}
	for i := range 12 {
		m.hot = append(m.hot, m.universe[i*len(m.universe)/12])
	}
	m.hot = append(m.hot, m.universe[:6]...)
	return m
}

// do runs one transition on both sides.
func (m *machine) do(t *rapid.T, onRecord func(*allocator.Record) error, onModel func(*reference.Model) error) error {
	t.Helper()
	before := m.record.Encode()
	got, want := onRecord(m.record), onModel(m.model)
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
	if got != nil && !m.record.Encode().Equal(before) {
		t.Fatalf("refused (%v), yet changed:\n%s", got, cmp.Diff(before, m.record.Encode()))
	}
	return got
}

func (m *machine) addr(t *rapid.T) netip.Addr {
	taken := slices.SortedFunc(maps.Keys(m.model.At), netip.Addr.Compare)
	from := [][]netip.Addr{m.hot, m.universe}
	if len(taken) > 0 {
		from = append(from, taken)
	}
	return rapid.SampledFrom(rapid.SampledFrom(from).Draw(t, "among")).Draw(t, "address")
}

func token(t *rapid.T) allocator.Token { return rapid.SampledFrom(someTokens).Draw(t, "token") }

func identity(t *rapid.T) allocator.Identity {
	i := rapid.SampledFrom(someOwners).Draw(t, "owner")
	i.Pod = rapid.SampledFrom(somePods).Draw(t, "pod")
	return i
}

func grace(t *rapid.T) time.Duration { return rapid.SampledFrom(someGraces).Draw(t, "grace") }

func (m *machine) reservation(t *rapid.T) allocator.Reservation {
	v := allocator.Reservation{Token: token(t), Grace: grace(t)}
	v.Pod.Namespace, v.Pod.Name = "default", "web-x"
	v.Owner = allocator.OwnerDigest(rapid.SampledFrom(someUIDs).Draw(t, "controller"))
	if rapid.Bool().Draw(t, "stable") {
		v.For, v.ForUID = identity(t), rapid.SampledFrom(someUIDs).Draw(t, "uid")
		v.Pod.Namespace, v.Pod.Name = v.For.Namespace, v.For.Pod
	}
	if rapid.Bool().Draw(t, "late") {
		v.Pod.UID = rapid.SampledFrom(someUIDs[1:]).Draw(t, "podUID")
	} else {
		v.Pod.Name = ""
	}
	return v
}

func (m *machine) hold(t *rapid.T) allocator.Hold {
	h := allocator.Hold{Node: rapid.SampledFrom([]string{"", "node1", "node2.example"}).Draw(t, "node"), Grace: grace(t)}
	h.Since = m.now.Add(time.Millisecond).In(time.FixedZone("CET", 3600))
	return h
}

// tokenAt is often the one that a waits for.
func (m *machine) tokenAt(t *rapid.T, a netip.Addr) allocator.Token {
	if v, ok := m.record.AwaitedAt(a); ok && rapid.Bool().Draw(t, "itsToken") {
		return v.Token
	}
	return token(t)
}

// identityAt is often the one that a is kept for.
func (m *machine) identityAt(t *rapid.T, a netip.Addr) allocator.Identity {
	if v, ok := m.record.RetainedAt(a); ok && rapid.Bool().Draw(t, "itsIdentity") {
		return v.Identity
	}
	if rapid.Bool().Draw(t, "stable") {
		return identity(t)
	}
	return allocator.Identity{}
}

func (m *machine) freed(t *rapid.T, a netip.Addr, err error) {
	if err == nil && !m.record.Contains(a) && rapid.Bool().Draw(t, "note") {
		m.recent.GaveBack(a, m.now)
		m.gaveBack[a] = m.now
	}
}

func (m *machine) Reserve(t *rapid.T) { m.reserve(t, m.addr(t), m.reservation(t)) }

func (m *machine) ReserveAgain(t *rapid.T) {
	a := m.addr(t)
	if v, ok := m.record.AwaitedAt(a); ok {
		v.Grace += rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute}).Draw(t, "more")
		m.reserve(t, a, v)
	}
}

func (m *machine) ReserveRetained(t *rapid.T) {
	a, v := m.addr(t), m.reservation(t)
	if v.For = m.identityAt(t, a); v.For == (allocator.Identity{}) {
		v.ForUID = ""
	} else if v.Pod.Namespace = v.For.Namespace; v.LateBound() {
		v.Pod.Name = v.For.Pod
	}
	m.reserve(t, a, v)
}

func (m *machine) reserve(t *rapid.T, a netip.Addr, v allocator.Reservation) {
	t.Helper()
	_ = m.do(t, func(r *allocator.Record) error { return r.Reserve(a, v) }, func(r *reference.Model) error { return r.Reserve(a, v) })
}

func (m *machine) Settle(t *rapid.T) {
	a, rev := m.addr(t), rapid.Uint64Max(9).Draw(t, "revision")
	tok := m.tokenAt(t, a)
	_ = m.do(t, func(r *allocator.Record) error { return r.Settle(a, tok, rev) },
		func(r *reference.Model) error { return r.Settle(a, tok, rev) })
}

func (m *machine) GiveBack(t *rapid.T) {
	a := m.addr(t)
	tok := m.tokenAt(t, a)
	err := m.do(t, func(r *allocator.Record) error { return r.GiveBack(a, tok) },
		func(r *reference.Model) error { return r.GiveBack(a, tok) })
	m.freed(t, a, err)
}

func (m *machine) Release(t *rapid.T) { m.release(t, m.addr(t)) }

func (m *machine) release(t *rapid.T, a netip.Addr) {
	t.Helper()
	err := m.do(t, func(r *allocator.Record) error { return r.Release(a) }, func(r *reference.Model) error { return r.Release(a) })
	m.freed(t, a, err)
}

func (m *machine) PutBack(t *rapid.T) {
	a := m.addr(t)
	m.putBack(t, a, rapid.Uint64Max(9).Draw(t, "revision"), m.identityAt(t, a), rapid.SampledFrom(someUIDs).Draw(t, "uid"))
}

func (m *machine) putBack(t *rapid.T, a netip.Addr, rev uint64, i allocator.Identity, uid string) {
	t.Helper()
	_ = m.do(t, func(r *allocator.Record) error { return r.PutBack(a, rev, i, uid) },
		func(r *reference.Model) error { return r.PutBack(a, rev, i, uid) })
}

// PutBackMany and ReleaseMany make chunks full and empty, HoldMany and RetainMany make sets of several pages.
func (m *machine) PutBackMany(t *rapid.T) {
	for _, a := range m.stretch(t) {
		m.putBack(t, a, 0, allocator.Identity{}, "")
	}
}

// RetainMany brings back pods of one owner, one for each address.
func (m *machine) RetainMany(t *rapid.T) {
	i := allocator.Identity{Namespace: "default", Kind: "Many", Name: "many"}
	for n, a := range m.stretch(t) {
		i.Pod = fmt.Sprintf("many-%d", n)
		m.putBack(t, a, 0, i, "")
	}
}

func (m *machine) ReleaseMany(t *rapid.T) {
	for _, a := range m.stretch(t) {
		m.release(t, a)
	}
}

func (m *machine) HoldMany(t *rapid.T) {
	h := allocator.Hold{Since: m.now}
	for _, a := range m.stretch(t) {
		_ = m.do(t, func(r *allocator.Record) error { return r.Hold(a, h) }, func(r *reference.Model) error { return r.Hold(a, h) })
	}
}

func (m *machine) stretch(t *rapid.T) []netip.Addr {
	cuts := []int{0, len(m.universe)}
	for i, a := range m.universe {
		if b := a.As16(); b[15] == 0 {
			cuts = append(cuts, i)
		}
	}
	from, to := rapid.SampledFrom(cuts).Draw(t, "from"), rapid.SampledFrom(cuts).Draw(t, "to")
	return m.universe[min(from, to):max(from, to)]
}

func (m *machine) Hold(t *rapid.T) {
	a, h := m.addr(t), m.hold(t)
	_ = m.do(t, func(r *allocator.Record) error { return r.Hold(a, h) }, func(r *reference.Model) error { return r.Hold(a, h) })
}

func (m *machine) HoldReserved(t *rapid.T) {
	a, h := m.addr(t), m.hold(t)
	tok := m.tokenAt(t, a)
	_ = m.do(t, func(r *allocator.Record) error { return r.HoldReserved(a, tok, h) },
		func(r *reference.Model) error { return r.HoldReserved(a, tok, h) })
}

func (m *machine) Unhold(t *rapid.T) {
	a := m.addr(t)
	err := m.do(t, func(r *allocator.Record) error { return r.Unhold(a) }, func(r *reference.Model) error { return r.Unhold(a) })
	m.freed(t, a, err)
}

func (m *machine) FreeRetained(t *rapid.T) {
	a := m.addr(t)
	i := m.identityAt(t, a)
	err := m.do(t, func(r *allocator.Record) error { return r.FreeRetained(a, i) },
		func(r *reference.Model) error { return r.FreeRetained(a, i) })
	m.freed(t, a, err)
}

func (m *machine) ResetSeenThrough(t *rapid.T) {
	rev := rapid.Uint64Max(9).Draw(t, "revision")
	m.record.ResetSeenThrough(rev)
	m.model.SeenThrough = rev
}

func (m *machine) SetTerm(t *rapid.T) {
	term := rapid.SampledFrom([]string{"", "a", "term of a leader"}).Draw(t, "term")
	m.record.SetTerm(term)
	m.model.Term = term
}

// Wait lets some of what was given back come of age, often on the second.
func (m *machine) Wait(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 29 * time.Second, time.Minute}).Draw(t, "wait"))
}

func (m *machine) Pick(t *rapid.T) {
	step := rapid.IntRange(1, 3).Draw(t, "vetoStep")
	vetoed := map[netip.Addr]bool{}
	for i := rapid.IntRange(0, len(m.universe)).Draw(t, "vetoFrom"); i < len(m.universe); i += step {
		vetoed[m.universe[i]] = true
	}
	veto := func(a netip.Addr) bool { return vetoed[a] }
	got, gotOK := allocator.Pick(m.space, m.record, &m.recent, veto, m.now)
	want, wantOK := m.model.Pick(m.inSpace, m.gaveBack, veto, m.now)
	if got != want || gotOK != wantOK {
		t.Fatalf("picked %v %v, want %v %v", got, gotOK, want, wantOK)
	}
}

// Fork goes on with a clone, or with what was cloned; the other one is watched.
func (m *machine) Fork(t *rapid.T) {
	clone := m.record.Clone()
	m.witness = clone
	if rapid.Bool().Draw(t, "goOnWithClone") {
		m.record, m.witness = clone, m.record
	}
	m.witnessText = m.witness.Encode()
}

// Reload goes on with what was written down.
func (m *machine) Reload(t *rapid.T) {
	r, err := allocator.Decode(m.record.Encode())
	if err != nil {
		t.Fatal(err)
	}
	m.record = r
}

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
	got.SeenThrough, got.Term = r.SeenThrough(), r.Term()
	if !maps.Equal(got.At, m.model.At) || got.SeenThrough != m.model.SeenThrough || got.Term != m.model.Term {
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
			m.model.Where(func(e reference.Entry) bool { return e.State == allocator.StateRetained })},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Fatalf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	for _, tok := range someTokens {
		got, ok := r.ByToken(tok)
		if want, wantOK := m.model.ByToken(tok); got != want || ok != wantOK {
			t.Fatalf("token %s at %v, want %v", tok, got, want)
		}
	}
	for _, i := range someOwners {
		for _, i.Pod = range somePods {
			got, ok := r.ByIdentity(i)
			if want, wantOK := m.model.ByIdentity(i); got != want || ok != wantOK {
				t.Fatalf("%s at %v, want %v", i, got, want)
			}
		}
	}
	want := allocator.Counts{}
	for _, e := range m.model.At {
		*map[allocator.State]*int{allocator.StateSettled: &want.Settled, allocator.StateReserved: &want.Reserved,
			allocator.StateRetained: &want.Retained, allocator.StateHeld: &want.Held}[e.State]++
		*map[allocator.Use]*int{allocator.Vacant: new(int), allocator.Promised: &want.Promised,
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
		return allocator.Promised
	case e.Held():
		return allocator.Held
	}
	return allocator.Vacant
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

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func ranges(s ...string) []netipx.IPRange {
	out := make([]netipx.IPRange, 0, len(s))
	for _, r := range s {
		out = append(out, must(allocator.ParseRange(r)))
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
