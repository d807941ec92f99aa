package ledger

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Kept says why the next pod of a stable identity cannot have the address that a record keeps for
// it now: the cause and a text, empty where it can. unready is what the pool has against giving
// anything, empty where nothing.
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

// KeptByNamespace counts the addresses that each namespace keeps without a pod that is known to
// run: reserved for pods that were not seen yet, kept for stable identities that have no pod, or
// held because nobody confirmed the end of their pods. A quota of pods bounds none of them. What is
// reserved for a pod that exists does not count, nor does a hold of which nothing is known.
func KeptByNamespace(record *allocator.Record) map[string]int {
	kept := map[string]int{}
	for a := range record.Awaited() {
		kept[keeper(record, a)]++
	}
	for a := range record.AllHeld() {
		kept[keeper(record, a)]++
	}
	for _, r := range record.Retained() {
		if r.Unassigned() {
			kept[r.Identity.Namespace]++
		}
	}
	delete(kept, "")
	return kept
}

// keeper returns the namespace that keeps an address without a pod that is known to run; empty
// where none does.
func keeper(record *allocator.Record, a netip.Addr) string {
	if r, ok := record.AwaitedAt(a); ok {
		if r.LateBound() {
			return ""
		}
		return r.Pod.Namespace
	}
	if h, ok := record.HoldAt(a); ok {
		return h.Pod.Namespace
	}
	if r, ok := record.RetainedAt(a); ok && r.Unassigned() {
		return r.Identity.Namespace
	}
	return ""
}

// KeepsEnough says why a namespace gets no new address of a pool of which it may keep most without
// a pod that is known to run; empty where it may. Without that bound a namespace could take a pool
// from all others while nothing of it runs: by an owner that says that it covers two billion pods,
// or by deleting pods by force. The text has no numbers that change with every pod: each change of
// a message is a write.
func KeepsEnough(kept map[string]int, namespace string, most int) string {
	if kept[namespace] < most {
		return ""
	}
	return fmt.Sprintf("namespace %q keeps as many of its addresses as it may without a running pod, %d: reserved for pods to come, kept for stable identities "+
		"that have no pod (scale their owners down, or delete them), or held after deletions by force (see status.reserved, retained and held)", namespace, most)
}

// weights are the causes of refusals, the lightest first. What is the matter with the pod's own
// address, or with a pool itself, says more than that others were there first.
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
