package lifecycle

import (
	"testing"
)

func TestPoolsOfOneSubnetAreJudgedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	a, b := version("a", 1, false, "10.0.0.1"), version("b", 2, false, "10.0.0.2")
	far := version("far", 3, false, "fd00::1")
	far.Spec.Subnet = "fd00::/64"
	var turns subnetSerializer
	if !turns.acquire(a) || !turns.acquire(far) {
		t.Error("nothing was in the way")
	}
	if turns.acquire(b) {
		t.Error("two of one subnet are judged at once")
	}
	turns.release(a)
	if !turns.acquire(b) {
		t.Error("the first was done")
	}
}
