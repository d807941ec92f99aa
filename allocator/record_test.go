package allocator_test

import (
	"errors"
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
	reserve := func(last string, tok allocator.Token, i allocator.Identity) func(*allocator.Record) error {
		return func(r *allocator.Record) error {
			return r.Reserve(ip(last), allocator.Reservation{Token: tok, Pod: allocator.PodRef{Namespace: "default"}, For: i})
		}
	}
	putBack := func(last string, i allocator.Identity) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.PutBack(ip(last), 99, i, "") }
	}
	const (
		free       = "it is free"
		settled    = "it is settled"
		reserved   = "it is reserved by aaaaaaaaaaaaaaaa default"
		late       = "it is reserved by bbbbbbbbbbbbbbbb default/late-x 77aa"
		held       = "it is held since 2026-11-23T12:00:00Z for node node1"
		unassigned = "it is retained for default/StatefulSet.apps/web pod web-0, unassigned"
		used       = "it is retained for default/StatefulSet.apps/web pod web-1, in use"
		pending    = "it is retained for default/StatefulSet.apps/web pod web-2, pending admission of cccccccccccccccc"
		keptHeld   = "it is retained for default/StatefulSet.apps/web pod web-4, held since 2026-11-23T12:00:00Z for node node2"
	)
	for name, tc := range map[string]struct {
		do        func(*allocator.Record) error
		wantIs    error
		wantState allocator.State // of the ConflictError, if that is one
		wantUse   allocator.Use
		wantErr   string
	}{
		"reserving a settled one": {reserve("40", tokenF, nobody),
			allocator.ErrNotFree, allocator.StateSettled, allocator.InUse, "reserving 172.18.41.40: not free: " + settled},
		"reserving another's": {reserve("44", tokenF, nobody),
			allocator.ErrNotFree, allocator.StateReserved, allocator.PendingAdmission, "reserving 172.18.41.44: not free: " + late},
		"reserving a held one": {reserve("46", tokenF, statefulSet("web-7")),
			allocator.ErrNotFree, allocator.StateHeld, allocator.Held, "reserving 172.18.41.46: not free: " + held},
		"reserving one with its token, and otherwise": {reserve("45", tokenA, statefulSet("web-7")),
			allocator.ErrNotFree, allocator.StateReserved, allocator.PendingAdmission, "reserving 172.18.41.45: not free: " + reserved},
		"reserving what is retained for another": {reserve("61", tokenF, statefulSet("web-7")),
			allocator.ErrNotFree, allocator.StateRetained, allocator.Unassigned, "reserving 172.18.41.61: not free: " + unassigned},
		"reserving what is retained, for nobody": {reserve("61", tokenF, nobody),
			allocator.ErrNotFree, allocator.StateRetained, allocator.Unassigned, "reserving 172.18.41.61: not free: " + unassigned},
		"reserving one's own that is in use": {reserve("60", tokenF, statefulSet("web-1")),
			allocator.ErrAssigned, allocator.StateRetained, allocator.InUse, "reserving 172.18.41.60: already assigned: " + used},
		"reserving one's own that is pending admission": {reserve("62", tokenF, statefulSet("web-2")),
			allocator.ErrAssigned, allocator.StateRetained, allocator.PendingAdmission, "reserving 172.18.41.62: already assigned: " + pending},
		"reserving one's own that is held": {reserve("64", tokenF, statefulSet("web-4")),
			allocator.ErrAssigned, allocator.StateRetained, allocator.Held, "reserving 172.18.41.64: already assigned: " + keptHeld},
		"reserving with a token used elsewhere": {reserve("70", tokenA, nobody),
			allocator.ErrElsewhere, 0, 0, "reserving 172.18.41.70: token aaaaaaaaaaaaaaaa has another address in this pool: 172.18.41.45"},
		"reserving one's own with a token used elsewhere": {reserve("61", tokenA, statefulSet("web-0")),
			allocator.ErrElsewhere, 0, 0, "reserving 172.18.41.61: token aaaaaaaaaaaaaaaa has another address in this pool: 172.18.41.45"},
		"reserving a second one for an identity": {reserve("70", tokenF, statefulSet("web-0")),
			allocator.ErrElsewhere, 0, 0, "reserving 172.18.41.70: default/StatefulSet.apps/web pod web-0 has another address in this pool: 172.18.41.61"},
		"reserving a second one for an identity that has one reserved": {reserve("70", tokenF, statefulSet("web-9")),
			allocator.ErrElsewhere, 0, 0, "reserving 172.18.41.70: default/StatefulSet.apps/web pod web-9 has another address in this pool: 172.18.41.43"},

		"settling a free one": {func(r *allocator.Record) error { return r.Settle(ip("70"), tokenA, 99) },
			allocator.ErrNotReserved, allocator.StateFree, allocator.Unassigned, "settling 172.18.41.70: not reserved by this token: " + free},
		"settling another's": {func(r *allocator.Record) error { return r.Settle(ip("44"), tokenA, 99) },
			allocator.ErrNotReserved, allocator.StateReserved, allocator.PendingAdmission, "settling 172.18.41.44: not reserved by this token: " + late},
		"settling what is pending admission of another": {func(r *allocator.Record) error { return r.Settle(ip("62"), tokenA, 99) },
			allocator.ErrNotReserved, allocator.StateRetained, allocator.PendingAdmission, "settling 172.18.41.62: not reserved by this token: " + pending},
		"settling an unassigned one": {func(r *allocator.Record) error { return r.Settle(ip("61"), tokenA, 99) },
			allocator.ErrNotReserved, allocator.StateRetained, allocator.Unassigned, "settling 172.18.41.61: not reserved by this token: " + unassigned},
		"settling a held one": {func(r *allocator.Record) error { return r.Settle(ip("46"), tokenA, 99) },
			allocator.ErrNotReserved, allocator.StateHeld, allocator.Held, "settling 172.18.41.46: not reserved by this token: " + held},

		"giving back a settled one": {func(r *allocator.Record) error { return r.GiveBack(ip("40"), tokenA) },
			allocator.ErrNotReserved, allocator.StateSettled, allocator.InUse, "giving back 172.18.41.40: not reserved by this token: " + settled},
		"giving back one that is in use": {func(r *allocator.Record) error { return r.GiveBack(ip("60"), tokenA) },
			allocator.ErrNotReserved, allocator.StateRetained, allocator.InUse, "giving back 172.18.41.60: not reserved by this token: " + used},
		"giving back what is pending admission of another": {func(r *allocator.Record) error { return r.GiveBack(ip("62"), tokenA) },
			allocator.ErrNotReserved, allocator.StateRetained, allocator.PendingAdmission, "giving back 172.18.41.62: not reserved by this token: " + pending},

		"releasing a reserved one": {func(r *allocator.Record) error { return r.Release(ip("45")) },
			allocator.ErrNotSettled, allocator.StateReserved, allocator.PendingAdmission, "releasing 172.18.41.45: not in use: " + reserved},
		"releasing one pending admission": {func(r *allocator.Record) error { return r.Release(ip("62")) },
			allocator.ErrNotSettled, allocator.StateRetained, allocator.PendingAdmission, "releasing 172.18.41.62: not in use: " + pending},
		"releasing an unassigned one": {func(r *allocator.Record) error { return r.Release(ip("61")) },
			allocator.ErrNotSettled, allocator.StateRetained, allocator.Unassigned, "releasing 172.18.41.61: not in use: " + unassigned},
		"releasing a held one": {func(r *allocator.Record) error { return r.Release(ip("46")) },
			allocator.ErrNotSettled, allocator.StateHeld, allocator.Held, "releasing 172.18.41.46: not in use: " + held},

		"holding a free one": {func(r *allocator.Record) error { return r.Hold(ip("70"), allocator.Hold{}) },
			allocator.ErrNotSettled, allocator.StateFree, allocator.Unassigned, "holding 172.18.41.70: not in use: " + free},
		"holding an unassigned one": {func(r *allocator.Record) error { return r.Hold(ip("61"), allocator.Hold{}) },
			allocator.ErrNotSettled, allocator.StateRetained, allocator.Unassigned, "holding 172.18.41.61: not in use: " + unassigned},
		"holding a reserved one as if it were in use": {func(r *allocator.Record) error { return r.Hold(ip("45"), allocator.Hold{}) },
			allocator.ErrNotSettled, allocator.StateReserved, allocator.PendingAdmission, "holding 172.18.41.45: not in use: " + reserved},
		"holding one already held": {func(r *allocator.Record) error { return r.Hold(ip("64"), allocator.Hold{}) },
			allocator.ErrNotSettled, allocator.StateRetained, allocator.Held, "holding 172.18.41.64: not in use: " + keptHeld},
		"holding what another reserved": {func(r *allocator.Record) error { return r.HoldReserved(ip("44"), tokenA, allocator.Hold{}) },
			allocator.ErrNotReserved, allocator.StateReserved, allocator.PendingAdmission, "holding 172.18.41.44: not reserved by this token: " + late},
		"holding one in use as if it were reserved": {func(r *allocator.Record) error { return r.HoldReserved(ip("60"), tokenA, allocator.Hold{}) },
			allocator.ErrNotReserved, allocator.StateRetained, allocator.InUse, "holding 172.18.41.60: not reserved by this token: " + used},

		"ending a hold that is none": {func(r *allocator.Record) error { return r.Unhold(ip("40")) },
			allocator.ErrNotHeld, allocator.StateSettled, allocator.InUse, "ending the hold of 172.18.41.40: not held: " + settled},
		"ending the hold of an unassigned one": {func(r *allocator.Record) error { return r.Unhold(ip("61")) },
			allocator.ErrNotHeld, allocator.StateRetained, allocator.Unassigned, "ending the hold of 172.18.41.61: not held: " + unassigned},

		"putting back a held one": {putBack("46", nobody),
			allocator.ErrNotFree, allocator.StateHeld, allocator.Held, "putting back 172.18.41.46: not free: " + held},
		"putting back a held one for an identity": {putBack("46", statefulSet("web-7")),
			allocator.ErrNotFree, allocator.StateHeld, allocator.Held, "putting back 172.18.41.46: not free: " + held},
		"putting back one held for nobody knows whom": {putBack("47", nobody), allocator.ErrNotFree, allocator.StateHeld, allocator.Held,
			"putting back 172.18.41.47: not free: it is held since 2026-11-23T12:00:00Z for node unknown"},
		"putting back a retained one for nobody": {putBack("61", nobody),
			allocator.ErrNotFree, allocator.StateRetained, allocator.Unassigned, "putting back 172.18.41.61: not free: " + unassigned},
		"putting back one retained for another": {putBack("60", statefulSet("web-0")),
			allocator.ErrNotFree, allocator.StateRetained, allocator.InUse, "putting back 172.18.41.60: not free: " + used},
		"putting back one's own that is held": {putBack("64", statefulSet("web-4")),
			allocator.ErrAssigned, allocator.StateRetained, allocator.Held, "putting back 172.18.41.64: already assigned: " + keptHeld},

		"freeing another's": {func(r *allocator.Record) error { return r.FreeRetained(ip("61"), statefulSet("web-1")) },
			allocator.ErrNotRetained, allocator.StateRetained, allocator.Unassigned, "freeing 172.18.41.61: not retained for this identity: " + unassigned},
		"freeing one that is only reserved for the identity": {func(r *allocator.Record) error { return r.FreeRetained(ip("43"), statefulSet("web-9")) },
			allocator.ErrNotRetained, allocator.StateReserved, allocator.PendingAdmission, "freeing 172.18.41.43: not retained for this identity: it is reserved by " +
				"dddddddddddddddd default by:rqkmtdcs grace:3600s for:StatefulSet.apps/web/web-9 of:5e1f"},
		"freeing a free one for nobody": {func(r *allocator.Record) error { return r.FreeRetained(ip("70"), nobody) },
			allocator.ErrNotRetained, allocator.StateFree, allocator.Unassigned, "freeing 172.18.41.70: not retained for this identity: " + free},
		"freeing one in use": {func(r *allocator.Record) error { return r.FreeRetained(ip("60"), statefulSet("web-1")) },
			allocator.ErrAssigned, allocator.StateRetained, allocator.InUse, "freeing 172.18.41.60: already assigned: " + used},
		"freeing one pending admission since": {func(r *allocator.Record) error { return r.FreeRetained(ip("62"), statefulSet("web-2")) },
			allocator.ErrAssigned, allocator.StateRetained, allocator.PendingAdmission, "freeing 172.18.41.62: already assigned: " + pending},
		"freeing one that is held": {func(r *allocator.Record) error { return r.FreeRetained(ip("64"), statefulSet("web-4")) },
			allocator.ErrAssigned, allocator.StateRetained, allocator.Held, "freeing 172.18.41.64: already assigned: " + keptHeld},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := example(t)
			before := r.Encode()
			err := tc.do(r)
			if !errors.Is(err, tc.wantIs) || err.Error() != tc.wantErr {
				t.Errorf("got  %v\nwant %s", err, tc.wantErr)
			}
			c, ok := errors.AsType[*allocator.ConflictError](err)
			if ok == errors.Is(err, allocator.ErrElsewhere) || ok && (c.State != tc.wantState || c.Use != tc.wantUse) {
				t.Errorf("conflict %+v, want state %s, %s", c, tc.wantState, tc.wantUse)
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
	reserve := func(change func(*allocator.Reservation)) func(*allocator.Record) error {
		v := allocator.Reservation{Token: tokenF, Pod: allocator.PodRef{Namespace: "x"}}
		change(&v)
		return func(r *allocator.Record) error { return r.Reserve(free, v) }
	}
	token := func(s allocator.Token) func(*allocator.Record) error {
		return reserve(func(v *allocator.Reservation) { v.Token = s })
	}
	pod := func(p allocator.PodRef) func(*allocator.Record) error {
		return reserve(func(v *allocator.Reservation) { v.Pod = p })
	}
	stable := func(change func(*allocator.Reservation)) func(*allocator.Record) error {
		return reserve(func(v *allocator.Reservation) {
			v.Pod.Namespace, v.For, v.ForUID = "default", statefulSet("web-7"), "5e1f"
			change(v)
		})
	}
	putBack := func(change func(*allocator.Identity), uid string) func(*allocator.Record) error {
		i := statefulSet("web-7")
		change(&i)
		return func(r *allocator.Record) error { return r.PutBack(free, 1, i, uid) }
	}
	hold := func(h allocator.Hold) func(*allocator.Record) error {
		return func(r *allocator.Record) error { return r.Hold(ip("40"), h) }
	}
	for name, do := range map[string]func(*allocator.Record) error{
		"no token":              token(""),
		"a token in upper case": token("AAAAAAAAAAAAAAAA"),
		"a token with 1":        token("aaaaaaaaaaaaaaa1"),
		"a token too long":      token("aaaaaaaaaaaaaaaaa"),

		"no namespace":           pod(allocator.PodRef{}),
		"a namespace with blank": pod(allocator.PodRef{Namespace: "a b"}),
		"a name without UID":     pod(allocator.PodRef{Namespace: "x", Name: "y"}),
		"a UID without name":     pod(allocator.PodRef{Namespace: "x", UID: "y"}),
		"a name with a slash":    pod(allocator.PodRef{Namespace: "x", Name: "y/z", UID: "u"}),
		"a name too long":        pod(allocator.PodRef{Namespace: strings.Repeat("x", 254)}),
		"a name with a line":     pod(allocator.PodRef{Namespace: "x", Name: "y\nz", UID: "u"}),

		"a controller that is no digest":            reserve(func(v *allocator.Reservation) { v.Owner = "web" }),
		"a controller with an odd letter":           reserve(func(v *allocator.Reservation) { v.Owner = "aaaa aaa" }),
		"the UID of an identity that is none":       reserve(func(v *allocator.Reservation) { v.ForUID = "5e1f" }),
		"an identity in another namespace":          stable(func(v *allocator.Reservation) { v.Pod.Namespace = "x" }),
		"an identity of another pod":                stable(func(v *allocator.Reservation) { v.Pod.Name, v.Pod.UID = "web-8", "u" }),
		"a reservation for an identity without pod": stable(func(v *allocator.Reservation) { v.For.Pod = "" }),
		"an identity's owner whose UID has a blank": stable(func(v *allocator.Reservation) { v.ForUID = "5e 1f" }),

		"an identity without pod":       putBack(func(i *allocator.Identity) { i.Pod = "" }, ""),
		"an identity without kind":      putBack(func(i *allocator.Identity) { i.Kind = "" }, ""),
		"an identity without namespace": putBack(func(i *allocator.Identity) { i.Namespace = "" }, ""),
		"a kind with a dot":             putBack(func(i *allocator.Identity) { i.Kind = "a.b" }, ""),
		"a group with a slash":          putBack(func(i *allocator.Identity) { i.Group = "a/b" }, ""),
		"a pod that begins with a dash": putBack(func(i *allocator.Identity) { i.Pod = "-0" }, ""),
		"an owner that is a dash":       putBack(func(i *allocator.Identity) { i.Name = "-" }, ""),
		"an owner's UID with a colon":   putBack(func(*allocator.Identity) {}, "a:b"),

		"a node with a blank":          hold(allocator.Hold{Node: "a b", Since: noon}),
		"a node that is a dash":        hold(allocator.Hold{Node: "-", Since: noon}),
		"a year that RFC 3339 has not": hold(allocator.Hold{Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
		"a reserved one's node with a blank": func(r *allocator.Record) error {
			return r.HoldReserved(ip("45"), tokenA, allocator.Hold{Node: "a b", Since: noon})
		},

		"an address of the other family": func(r *allocator.Record) error {
			return r.PutBack(must(allocator.ParseRange("fc00::1")).From(), 1, nobody, "")
		},
		"an address of the other family, reserved": func(r *allocator.Record) error {
			return r.Reserve(must(allocator.ParseRange("fc00::1")).From(), allocator.Reservation{Token: tokenF, Pod: allocator.PodRef{Namespace: "x"}})
		},
		"no address": func(r *allocator.Record) error {
			return r.PutBack(must(allocator.ParseRange("::1")).From().Prev().Prev(), 1, nobody, "")
		},
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
	if err := r.PutBack(ip("40"), 1, nobody, ""); !errors.Is(err, allocator.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if _, err := allocator.Decode(r.Encode()); err != nil {
		t.Errorf("a full record is not read back: %v", err)
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
	if want := []string{"none", "4 settled, 3 reserved, 7 retained, 2 held"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Clones share what they can: copying 60,000 retained addresses is one copy of page headers each
// for address and identity.
func TestCloningSharesPages(t *testing.T) {
	for _, n := range []int{10, 60000} {
		r := retained(n)
		if got := testing.AllocsPerRun(10, func() { r.Clone() }); got > 8 {
			t.Errorf("%d retained addresses: %v allocations", n, got)
		}
	}
}
