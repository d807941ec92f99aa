package allocator_test

import (
	"errors"
	"fmt"
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

// A Record and the obvious model go through the same random transitions, and after each one
// everything that can be asked of them must agree, in the record itself and in what is read back
// from its text.
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
	someNICs   = []string{"", "", "", "net1", "eth1"}
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
	err := m.both(t, onRecord, onModel)
	if err != nil && !m.record.Encode().Equal(before) {
		t.Fatalf("refused (%v), yet changed:\n%s", err, cmp.Diff(before, m.record.Encode()))
	}
	return err
}

// both is do for many transitions in a row, of which each may be refused: what they left is
// compared when all are done.
func (m *machine) both(t *rapid.T, onRecord func(*allocator.Record) error, onModel func(*reference.Model) error) error {
	t.Helper()
	got, want := onRecord(m.record), onModel(m.model)
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
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

// where is often an address of such an entry: one that the transition is for.
func (m *machine) where(t *rapid.T, such func(reference.Entry) bool) netip.Addr {
	if fit := m.model.Where(such); len(fit) > 0 && rapid.IntRange(0, 3).Draw(t, "fitting") > 0 {
		return rapid.SampledFrom(fit).Draw(t, "address")
	}
	return m.addr(t)
}

func retainedEntry(e reference.Entry) bool { return e.State == allocator.StateRetained }

func vacantEntry(e reference.Entry) bool { return retainedEntry(e) && e.Retention.Unassigned() }

func token(t *rapid.T) allocator.Token { return rapid.SampledFrom(someTokens).Draw(t, "token") }

// nic is most often the default one.
func nic(t *rapid.T) string { return rapid.SampledFrom(someNICs).Draw(t, "nic") }

func identity(t *rapid.T) allocator.Identity {
	i := rapid.SampledFrom(someOwners).Draw(t, "owner")
	i.Pod, i.NIC = rapid.SampledFrom(somePods).Draw(t, "pod"), nic(t)
	return i
}

func grace(t *rapid.T) time.Duration { return rapid.SampledFrom(someGraces).Draw(t, "grace") }

func (m *machine) reservation(t *rapid.T) allocator.Reservation {
	v := allocator.Reservation{Token: token(t), Grace: grace(t), NIC: nic(t)}
	v.Pod.Namespace, v.Pod.Name = "default", "web-x"
	v.Owner = allocator.OwnerDigest(rapid.SampledFrom(someUIDs).Draw(t, "controller"))
	if rapid.Bool().Draw(t, "stable") {
		v.For, v.ForUID = identity(t), rapid.SampledFrom(someUIDs).Draw(t, "uid")
		v = v.OnNIC(v.NIC)
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
	h.Pod = rapid.SampledFrom([]allocator.PodRef{{}, {Namespace: "default"}, {Namespace: "default", Name: "web-x", UID: "77aa"}}).Draw(t, "pod")
	if rapid.Bool().Draw(t, "expected") {
		h.Until = h.Since.Add(time.Minute)
	}
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
	a := m.where(t, reference.Entry.Awaited)
	if v, ok := m.record.AwaitedAt(a); ok {
		v.Grace += rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute}).Draw(t, "more")
		m.reserve(t, a, v)
	}
}

func (m *machine) ReserveRetained(t *rapid.T) {
	a, v := m.where(t, vacantEntry), m.reservation(t)
	if v.For = m.identityAt(t, a); v.For == (allocator.Identity{}) {
		v.ForUID = ""
	} else if v.Pod.Namespace = v.For.Namespace; v.LateBound() {
		v.Pod.Name = v.For.Pod
	}
	if v.For != (allocator.Identity{}) {
		v.NIC = v.For.NIC
	}
	m.reserve(t, a, v)
}

func (m *machine) reserve(t *rapid.T, a netip.Addr, v allocator.Reservation) {
	t.Helper()
	_ = m.do(t, func(r *allocator.Record) error { return r.Reserve(a, v) }, func(r *reference.Model) error { return r.Reserve(a, v) })
}

func (m *machine) Settle(t *rapid.T) {
	a, rev := m.where(t, reference.Entry.Awaited), rapid.Uint64Max(9).Draw(t, "revision")
	tok := m.tokenAt(t, a)
	_ = m.do(t, func(r *allocator.Record) error { return r.Settle(a, tok, rev) },
		func(r *reference.Model) error { return r.Settle(a, tok, rev) })
}

func (m *machine) GiveBack(t *rapid.T) {
	a := m.where(t, reference.Entry.Awaited)
	tok := m.tokenAt(t, a)
	err := m.do(t, func(r *allocator.Record) error { return r.GiveBack(a, tok) },
		func(r *reference.Model) error { return r.GiveBack(a, tok) })
	m.freed(t, a, err)
}

func (m *machine) Release(t *rapid.T) {
	a := m.where(t, reference.Entry.InUse)
	err := m.do(t, func(r *allocator.Record) error { return r.Release(a) }, func(r *reference.Model) error { return r.Release(a) })
	m.freed(t, a, err)
}

func (m *machine) PutBack(t *rapid.T) {
	a, rev := m.where(t, retainedEntry), rapid.Uint64Max(9).Draw(t, "revision")
	i, uid := m.identityAt(t, a), rapid.SampledFrom(someUIDs).Draw(t, "uid")
	_ = m.do(t, func(r *allocator.Record) error { return r.PutBack(a, rev, i, uid) },
		func(r *reference.Model) error { return r.PutBack(a, rev, i, uid) })
}

// PutBackMany and ReleaseMany make chunks full and empty, HoldMany and RetainMany make sets of
// several pages.
func (m *machine) PutBackMany(t *rapid.T) {
	m.putBackMany(t, func(int) allocator.Identity { return allocator.Identity{} })
}

// RetainMany brings back pods of one owner, one for each address.
func (m *machine) RetainMany(t *rapid.T) {
	m.putBackMany(t, func(n int) allocator.Identity {
		return allocator.Identity{Namespace: "default", Kind: "Many", Name: "many", Pod: fmt.Sprintf("many-%d", n)}
	})
}

func (m *machine) putBackMany(t *rapid.T, who func(n int) allocator.Identity) {
	for n, a := range m.stretch(t) {
		_ = m.both(t, func(r *allocator.Record) error { return r.PutBack(a, 0, who(n), "") },
			func(r *reference.Model) error { return r.PutBack(a, 0, who(n), "") })
	}
}

func (m *machine) ReleaseMany(t *rapid.T) {
	for _, a := range m.stretch(t) {
		_ = m.both(t, func(r *allocator.Record) error { return r.Release(a) }, func(r *reference.Model) error { return r.Release(a) })
	}
}

func (m *machine) HoldMany(t *rapid.T) {
	h := allocator.Hold{Since: m.now}
	for _, a := range m.stretch(t) {
		_ = m.both(t, func(r *allocator.Record) error { return r.Hold(a, h) }, func(r *reference.Model) error { return r.Hold(a, h) })
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
	a, h := m.where(t, reference.Entry.InUse), m.hold(t)
	_ = m.do(t, func(r *allocator.Record) error { return r.Hold(a, h) }, func(r *reference.Model) error { return r.Hold(a, h) })
}

func (m *machine) HoldReserved(t *rapid.T) {
	a, h := m.where(t, reference.Entry.Awaited), m.hold(t)
	tok := m.tokenAt(t, a)
	_ = m.do(t, func(r *allocator.Record) error { return r.HoldReserved(a, tok, h) },
		func(r *reference.Model) error { return r.HoldReserved(a, tok, h) })
}

func (m *machine) Unhold(t *rapid.T) {
	a := m.where(t, reference.Entry.Held)
	err := m.do(t, func(r *allocator.Record) error { return r.Unhold(a) }, func(r *reference.Model) error { return r.Unhold(a) })
	m.freed(t, a, err)
}

func (m *machine) FreeRetained(t *rapid.T) {
	a := m.where(t, vacantEntry)
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

func (m *machine) RaiseGrace(t *rapid.T) {
	grace := time.Duration(rapid.IntRange(31, 40).Draw(t, "seconds")) * time.Second
	m.record.RaiseGrace(grace)
	m.model.RaiseGrace(grace)
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

// Took says of an address that it was taken in between: it does not rest any more.
func (m *machine) Took(t *rapid.T) {
	a := m.addr(t)
	m.recent.Took(a)
	delete(m.gaveBack, a)
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
