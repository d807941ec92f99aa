package allocator_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
)

func TestAGraceIsKeptInWholeSecondsBeyondTheUsual(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int64]time.Duration{
		math.MinInt64: 0, -1: 0, 0: 0, 1: 0, 30: 0, 31: 31 * time.Second, 3600: time.Hour,
		86399: 86399 * time.Second, 86400: 24 * time.Hour, 86401: 24 * time.Hour, 1_000_000_000: 24 * time.Hour, math.MaxInt64: 24 * time.Hour,
	} {
		if got := allocator.GraceOf(seconds); got != want {
			t.Errorf("%d s: %s, want %s", seconds, got, want)
		}
	}
	for given, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, 30 * time.Second: 0, 30*time.Second + 1: 31 * time.Second, 59500 * time.Millisecond: time.Minute,
		math.MaxInt64: 100 * 365 * 24 * time.Hour,
	} {
		r := &allocator.Record{}
		if err := r.Reserve(ip("1"), allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "x"}, Grace: given}); err != nil {
			t.Fatal(err)
		}
		if v, _ := r.AwaitedAt(ip("1")); v.Grace != want {
			t.Errorf("reserved with %s: %s, want %s", given, v.Grace, want)
		}
		if err := r.HoldReserved(ip("1"), tokenA, allocator.Hold{Since: noon, Grace: given}); err != nil {
			t.Fatal(err)
		}
		if v, _ := r.HoldAt(ip("1")); v.Grace != want {
			t.Errorf("held with %s: %s, want %s", given, v.Grace, want)
		}
		if _, err := allocator.Decode(r.Encode()); err != nil {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestNoGraceIsWaitedForLongerThanADay(t *testing.T) {
	t.Parallel()
	for grace, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, 31 * time.Second: 31 * time.Second, 24 * time.Hour: 24 * time.Hour, 24*time.Hour + 1: 24 * time.Hour,
		100 * 365 * 24 * time.Hour: 24 * time.Hour,
	} {
		if got := allocator.WaitFor(grace); got != want {
			t.Errorf("%s is waited for for %s, want %s", grace, got, want)
		}
	}
}

// Digests and late tokens are written by one replica and compared by another, perhaps of the next
// version.
func TestDigestsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	const uid = "8d0c3c1e-4f8a-4b39-9d0e-1f5d4dcf3251"
	got := []string{allocator.OwnerDigest(""), allocator.OwnerDigest(uid), allocator.OwnerDigest("5e1f"), string(allocator.LateToken(uid))}
	want := []string{"", "bodhzlev", "6lwmfvjk", "wjw37wxfh5xibbfj"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := allocator.ParseToken(string(allocator.LateToken(uid))); err != nil {
		t.Error(err)
	}
	if allocator.LateToken("a") == allocator.LateToken("b") || allocator.OwnerDigest("a") == allocator.OwnerDigest("b") {
		t.Error("one for two")
	}
}

func TestARetentionIsInOneUse(t *testing.T) {
	t.Parallel()
	r := example(t)
	for last, want := range map[string]struct {
		text string
		is   [4]bool // unassigned, pending admission, in use, held
	}{
		"61": {"default/StatefulSet.apps/web pod web-0, unassigned", [4]bool{true, false, false, false}},
		"62": {"default/StatefulSet.apps/web pod web-2, pending admission", [4]bool{false, true, false, false}},
		"60": {"default/StatefulSet.apps/web pod web-1, in use", [4]bool{false, false, true, false}},
		"64": {"default/StatefulSet.apps/web pod web-4, held", [4]bool{false, false, false, true}},
	} {
		v, ok := r.RetainedAt(ip(last))
		if got := [4]bool{v.Unassigned(), v.PendingAdmission(), v.InUse(), v.Held()}; !ok || v.String() != want.text || got != want.is {
			t.Errorf("%s: %s %v, want %s %v", last, v, got, want.text, want.is)
		}
	}
}

// What is pending admission, and what is retained and held, is found where all that waits, and all
// that is held, is found.
func TestPromisesAndHoldsAreReadLikeTheOthers(t *testing.T) {
	t.Parallel()
	r := example(t)
	want := allocator.Reservation{
		Token: tokenE, Grace: time.Minute, For: statefulSet("web-3"), ForUID: "5e1f",
		Pod: allocator.PodRef{Namespace: "default", Name: "web-3", UID: "99cc"},
	}
	if got, ok := r.AwaitedAt(ip("63")); !ok || got != want {
		t.Errorf("pending admission: %+v, want %+v", got, want)
	}
	if got, ok := r.HoldAt(ip("65")); !ok || got != (allocator.Hold{Since: noon, Grace: time.Hour, Pod: allocator.PodRef{Namespace: "default", Name: "other"}}) {
		t.Errorf("held: %+v", got)
	}
	if a, ok := r.ByIdentity(statefulSet("web-9")); !ok || a != ip("43") {
		t.Errorf("reserved for an identity: %v", a)
	}
}
