package ledger

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Kept says why the next pod of a stable identity cannot have the address that a
// record keeps for it now: the cause and a text, empty where it can. unready is
// what the pool has against giving anything, empty where nothing.
func Kept(record *allocator.Record, a netip.Addr, unready string) (cause, text string) {
	switch use := record.Use(a); {
	case unready != "":
		return crdv1.ReasonPoolNotReady, fmt.Sprintf("the pod's address %s is kept in it, and %s", a, unready)
	case use == allocator.PendingAdmission:
		return crdv1.ReasonPredecessor, fmt.Sprintf("the pod's address %s was given to an earlier admission of the pod, which may still bring it", a)
	case use == allocator.InUse:
		return crdv1.ReasonPredecessor, fmt.Sprintf("the pod's address %s is still its predecessor's, whose end was not seen yet", a)
	case use == allocator.Held:
		h, _ := record.HoldAt(a)
		node := "an unknown node"
		if h.Node != "" {
			node = fmt.Sprintf("node %q", h.Node)
		}
		return crdv1.ReasonAddressHeld, fmt.Sprintf("the pod's address %s is held since %s: no kubelet confirmed the end of its predecessor on %s",
			a, h.Since.Format(time.RFC3339), node)
	}
	return "", ""
}

// Unassigned counts by namespace the addresses that a record keeps for stable
// identities which have no pod, or whose last pod may be running still.
func Unassigned(record *allocator.Record) map[string]int {
	vacant := map[string]int{}
	for _, r := range record.Retained() {
		if r.Unassigned() || r.Held() {
			vacant[r.Identity.Namespace]++
		}
	}
	return vacant
}

// KeepsEnough says why a pool of size addresses keeps no more of them for the
// identities of a namespace; empty where it may. An owner may say that it covers
// two billion pods, and each that ever was would have one for ever. What counts
// are addresses that no pod is known to use; those of a healthy owner are few.
func KeepsEnough(vacant map[string]int, namespace string, size uint64) string {
	if n, most := vacant[namespace], mostVacant(size); n >= most {
		return fmt.Sprintf("%d addresses are kept in it for stable identities of namespace %q that have no pod, of at most %d (scale their owners down, or delete them)", n, namespace, most)
	}
	return ""
}

// mostVacant is half of the pool, rounded up, so that a namespace never keeps all
// of it from the others, and in large pools what leaves room in the record.
func mostVacant(size uint64) int { return int(min(size/2+size%2, mostNamespace)) }

// weights are the causes of refusals, the lightest first. What is the matter
// with the pod's own address, or with a pool itself, says more than that others
// were there first.
var weights = []string{
	crdv1.ReasonPoolFull,
	crdv1.ReasonQueued,
	crdv1.ReasonOverCap,
	crdv1.ReasonPoolNotReady,
	crdv1.ReasonPredecessor,
	crdv1.ReasonWithdrawn,
	crdv1.ReasonAddressHeld,
}

// Weightiest returns the cause that says most.
func Weightiest(causes []string) string {
	weight := 0
	for _, c := range causes {
		weight = max(weight, slices.Index(weights, c))
	}
	return weights[weight]
}
