package allocator_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
)

// The random machine covers what transitions do. This table pins what they say.
func TestRefusedTransitionsSayWhatStandsThere(t *testing.T) {
	t.Parallel()
	reservation := allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}}
	for name, tc := range map[string]struct {
		do      func(*allocator.Record) error
		wantIs  error
		want    allocator.State // of the ConflictError, if that is one
		wantErr string
	}{
		"reserving a settled one": {func(r *allocator.Record) error {
			return r.Reserve(ip("40"), allocator.Reservation{Token: "2345672345672345", Pod: allocator.PodRef{Namespace: "x"}})
		}, allocator.ErrNotFree, allocator.StateSettled, "reserving 172.18.41.40: not free: it is settled"},
		"reserving with a token used elsewhere": {func(r *allocator.Record) error { return r.Reserve(ip("70"), reservation) },
			allocator.ErrElsewhere, 0, "reserving 172.18.41.70: token aaaaaaaaaaaaaaaa has another address in this pool: 172.18.41.45"},
		"settling a free one": {func(r *allocator.Record) error { return r.Settle(ip("70"), tokenA, 1) },
			allocator.ErrNotReserved, allocator.StateFree, "settling 172.18.41.70: not reserved by this token: it is free"},
		"settling another's": {func(r *allocator.Record) error { return r.Settle(ip("44"), tokenA, 1) },
			allocator.ErrNotReserved, allocator.StateReserved, "settling 172.18.41.44: not reserved by this token: it is reserved by bbbbbbbbbbbbbbbb default/late-x 77aa"},
		"giving back a settled one": {func(r *allocator.Record) error { return r.GiveBack(ip("40"), tokenA) },
			allocator.ErrNotReserved, allocator.StateSettled, "giving back 172.18.41.40: not reserved by this token: it is settled"},
		"releasing a reserved one": {func(r *allocator.Record) error { return r.Release(ip("45")) },
			allocator.ErrNotSettled, allocator.StateReserved, "releasing 172.18.41.45: not settled: it is reserved by aaaaaaaaaaaaaaaa default"},
		"putting back a held one": {func(r *allocator.Record) error { return r.PutBack(ip("46"), 1) },
			allocator.ErrNotFree, allocator.StateHeld, "putting back 172.18.41.46: not free: it is held since 2026-11-23T12:00:00Z for node node1"},
		"putting back one held for nobody knows whom": {func(r *allocator.Record) error { return r.PutBack(ip("47"), 1) },
			allocator.ErrNotFree, allocator.StateHeld, "putting back 172.18.41.47: not free: it is held since 2026-11-23T12:00:00Z for node unknown"},
		"putting back a retained one": {func(r *allocator.Record) error { return r.PutBack(ip("60"), 1) },
			allocator.ErrNotFree, allocator.StateRetained, "putting back 172.18.41.60: not free: it is retained for default/StatefulSet.apps/web pod web-1, 2 unconfirmed"},
		"holding a free one": {func(r *allocator.Record) error { return r.Hold(ip("70"), allocator.Hold{}) },
			allocator.ErrNotSettled, allocator.StateFree, "holding 172.18.41.70: not settled: it is free"},
		"ending a hold that is none": {func(r *allocator.Record) error { return r.Unhold(ip("40")) },
			allocator.ErrNotHeld, allocator.StateSettled, "ending the hold of 172.18.41.40: not held: it is settled"},
		"retaining for another": {func(r *allocator.Record) error {
			return r.Retain(ip("60"), allocator.Retention{Identity: statefulSet("web-9")})
		}, allocator.ErrNotFree, allocator.StateRetained, "retaining 172.18.41.60: not free: it is retained for default/StatefulSet.apps/web pod web-1, 2 unconfirmed"},
		"retaining a second one": {func(r *allocator.Record) error {
			return r.Retain(ip("70"), allocator.Retention{Identity: statefulSet("web-0")})
		}, allocator.ErrElsewhere, 0, "retaining 172.18.41.70: default/StatefulSet.apps/web pod web-0 has another address in this pool: 172.18.41.61"},
		"confirming an unknown token": {func(r *allocator.Record) error { return r.Confirm(ip("60"), tokenA) },
			allocator.ErrUnknownToken, allocator.StateRetained, "confirming 172.18.41.60: does not wait for this token: it is retained for default/StatefulSet.apps/web pod web-1, 2 unconfirmed"},
		"freeing one used since": {func(r *allocator.Record) error {
			return r.FreeRetained(ip("60"), statefulSet("web-1"), []allocator.Token{tokenC})
		}, allocator.ErrChanged, allocator.StateRetained, "freeing 172.18.41.60: changed since it was read: it is retained for default/StatefulSet.apps/web pod web-1, 2 unconfirmed"},
		"freeing one with other tokens, equally many": {func(r *allocator.Record) error {
			return r.FreeRetained(ip("60"), statefulSet("web-1"), []allocator.Token{tokenC, tokenA})
		}, allocator.ErrChanged, allocator.StateRetained, "freeing 172.18.41.60: changed since it was read: it is retained for default/StatefulSet.apps/web pod web-1, 2 unconfirmed"},
		"freeing another's": {func(r *allocator.Record) error { return r.FreeRetained(ip("61"), statefulSet("web-1"), nil) },
			allocator.ErrNotRetained, allocator.StateRetained, "freeing 172.18.41.61: not retained for this identity: it is retained for default/StatefulSet.apps/web pod web-0, 0 unconfirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := example(t)
			before := r.Encode()
			err := tc.do(r)
			if !errors.Is(err, tc.wantIs) || err.Error() != tc.wantErr {
				t.Errorf("got  %v\nwant %s", err, tc.wantErr)
			}
			if c, ok := errors.AsType[*allocator.ConflictError](err); ok && c.State != tc.want || ok == errors.Is(err, allocator.ErrElsewhere) {
				t.Errorf("conflict %+v, want state %s", c, tc.want)
			}
			if diff := cmp.Diff(before, r.Encode()); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

// What could not be read back is refused when it is to be recorded, not when somebody reads it.
func TestNothingUnreadableIsRecorded(t *testing.T) {
	t.Parallel()
	free := ip("70")
	reserve := func(tok allocator.Token, p allocator.PodRef) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.Reserve(free, allocator.Reservation{Token: tok, Pod: p}) }
	}
	retain := func(i allocator.Identity, uid string, tokens ...allocator.Token) func(*allocator.Record) error {
		return func(r *allocator.Record) error {
			return r.Retain(free, allocator.Retention{Identity: i, OwnerUID: uid, Tokens: tokens})
		}
	}
	hold := func(h allocator.Hold) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.Hold(ip("40"), h) }
	}
	broken := func(change func(*allocator.Identity)) allocator.Identity {
		i := statefulSet("web-9")
		change(&i)
		return i
	}
	for name, do := range map[string]func(*allocator.Record) error{
		"no token":                       reserve("", allocator.PodRef{Namespace: "x"}),
		"a token in upper case":          reserve("AAAAAAAAAAAAAAAA", allocator.PodRef{Namespace: "x"}),
		"a token with 1":                 reserve("aaaaaaaaaaaaaaa1", allocator.PodRef{Namespace: "x"}),
		"a token too long":               reserve("aaaaaaaaaaaaaaaaa", allocator.PodRef{Namespace: "x"}),
		"no namespace":                   reserve("2345672345672345", allocator.PodRef{}),
		"a namespace with a blank":       reserve("2345672345672345", allocator.PodRef{Namespace: "a b"}),
		"a name without UID":             reserve("2345672345672345", allocator.PodRef{Namespace: "x", Name: "y"}),
		"a UID without name":             reserve("2345672345672345", allocator.PodRef{Namespace: "x", UID: "y"}),
		"a name with a slash":            reserve("2345672345672345", allocator.PodRef{Namespace: "x", Name: "y/z", UID: "u"}),
		"a name too long":                reserve("2345672345672345", allocator.PodRef{Namespace: strings.Repeat("x", 254)}),
		"a name with a line":             reserve("2345672345672345", allocator.PodRef{Namespace: "x", Name: "y\nz", UID: "u"}),
		"an identity without pod":        retain(broken(func(i *allocator.Identity) { i.Pod = "" }), ""),
		"an identity without kind":       retain(broken(func(i *allocator.Identity) { i.Kind = "" }), ""),
		"a kind with a dot":              retain(broken(func(i *allocator.Identity) { i.Kind = "a.b" }), ""),
		"a group with a slash":           retain(broken(func(i *allocator.Identity) { i.Group = "a/b" }), ""),
		"a pod that begins with a dash":  retain(broken(func(i *allocator.Identity) { i.Pod = "-0" }), ""),
		"an owner that is a dash":        retain(broken(func(i *allocator.Identity) { i.Name = "-" }), ""),
		"an owner's UID with a colon":    retain(statefulSet("web-9"), "a:b"),
		"an identity's token twice":      retain(statefulSet("web-9"), "", tokenA[:15]+"z", tokenA[:15]+"z"),
		"an identity's token is none":    retain(statefulSet("web-9"), "", "x"),
		"a node with a blank":            hold(allocator.Hold{Node: "a b", Since: noon}),
		"a node that is a dash":          hold(allocator.Hold{Node: "-", Since: noon}),
		"a year that RFC 3339 has not":   hold(allocator.Hold{Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
		"an address of the other family": func(r *allocator.Record) error { return r.PutBack(must(allocator.ParseRange("fc00::1")).From(), 1) },
		"no address":                     func(r *allocator.Record) error { return r.PutBack(must(allocator.ParseRange("::1")).From().Prev(), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := example(t)
			before := r.Encode()
			if err := do(r); !errors.Is(err, allocator.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
			if diff := cmp.Diff(before, r.Encode()); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestARecordKeepsABoundedNumberOfAddresses(t *testing.T) {
	t.Parallel()
	r := settled("10.0.0.0-10.255.255.255")
	if err := r.PutBack(ip("40"), 1); !errors.Is(err, allocator.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if _, err := allocator.Decode(r.Encode()); err != nil {
		t.Errorf("a full record is not read back: %v", err)
	}
}

// A StatefulSet over its quota tries for hours; each try is one admission more.
func TestARetentionKeepsTheNewestTokensOnly(t *testing.T) {
	t.Parallel()
	r := &allocator.Record{}
	var all []allocator.Token
	for i := range 40 {
		tok := allocator.Token(fmt.Sprintf("aaaaaaaaaaaaaa%c%c", 'a'+i/26, 'a'+i%26))
		all = append(all, tok)
		if err := r.Retain(ip("1"), allocator.Retention{Identity: statefulSet("web-0"), Tokens: []allocator.Token{tok}}); err != nil {
			t.Fatal(err)
		}
	}
	v, _ := r.RetainedAt(ip("1"))
	if diff := cmp.Diff(all[24:], v.Tokens); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, tok := range all {
		if _, ok := r.ByToken(tok); ok != (i >= 24) {
			t.Errorf("token %d: found %v", i, ok)
		}
	}
	if err := r.Confirm(ip("1"), all[39]); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.RetainedAt(ip("1")); len(v.Tokens) > 0 {
		t.Errorf("%v still unconfirmed", v.Tokens)
	}
}

func TestTokensAreReadableAndNew(t *testing.T) {
	t.Parallel()
	seen := map[allocator.Token]bool{}
	for range 1000 {
		tok := allocator.NewToken()
		if read, err := allocator.ParseToken(string(tok)); err != nil || read != tok || seen[tok] {
			t.Fatalf("%s: read as %s, error %v, seen before %v", tok, read, err, seen[tok])
		}
		seen[tok] = true
	}
}

func TestCountsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	got := []string{(&allocator.Record{}).Counts().String(), example(t).Counts().String()}
	if want := []string{"none", "4 settled, 2 reserved, 5 retained, 2 held"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Clones share what they can: copying 60,000 retained addresses is one copy of page headers each for address and identity.
func TestCloningSharesPages(t *testing.T) {
	for _, n := range []int{10, 60000} {
		r := retained(n)
		if got := testing.AllocsPerRun(10, func() { r.Clone() }); got > 6 {
			t.Errorf("%d retained addresses: %v allocations", n, got)
		}
	}
}
