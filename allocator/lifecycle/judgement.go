package lifecycle

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func subnetsOverlap(a, b *crdv1.SpiderIPPool) bool {
	pa, err1 := netip.ParsePrefix(a.Spec.Subnet)
	pb, err2 := netip.ParsePrefix(b.Spec.Subnet)
	return err1 != nil || err2 != nil || pa.Overlaps(pb)
}

// reading is ledger.Read, or one that remembers.
type reading func(*crdv1.SpiderIPPool) (*ledger.State, error)

// judgement says whether a pool may be used beside the others: no address of it
// may be one of an older pool, of one that is Ready already, or in use from any
// other. Others that do not carry the term were not taken over by who judges:
// another leader may be making them Ready.
func judgement(read reading, pool *crdv1.SpiderIPPool, others []*crdv1.SpiderIPPool, term string) metav1.Condition {
	self, err := read(pool)
	if err != nil {
		return unready(pool, crdv1.ReasonCorrupt, err.Error())
	}
	for _, o := range others {
		if reason, message := against(read, self, pool, o, term); reason != "" {
			return unready(pool, reason, message)
		}
	}
	return metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: pool.Generation,
		Reason:             crdv1.ReasonInitialised,
		Message:            "no address is one of another pool",
	}
}

// against says what another pool has against this one being Ready, if anything.
func against(read reading, self *ledger.State, pool, o *crdv1.SpiderIPPool, term string) (reason, message string) {
	space, err := ledger.SpaceOf(&o.Spec)
	if err != nil {
		return "", "" // nothing was ever given from a spec that cannot be read
	}
	other, err := read(o)
	common, overlap := self.Space.Overlap(space)
	switch {
	case overlap && (err != nil || ready(o) || older(o, pool)):
		return crdv1.ReasonOverlap, fmt.Sprintf("%s is in pool %q too; take it out of spec.ips of one of the two", text(common), o.Name)
	case has(self.Space, o.Spec.Gateway):
		return crdv1.ReasonOverlap, fmt.Sprintf("%s is the gateway of pool %q; take it out of spec.ips", *o.Spec.Gateway, o.Name)
	case has(space, pool.Spec.Gateway):
		return crdv1.ReasonOverlap, fmt.Sprintf("the gateway %s is an address of pool %q; take it out of its spec.ips", *pool.Spec.Gateway, o.Name)
	case err != nil:
		return "", "" // its addresses are others
	case o.Status.Term != term:
		return crdv1.ReasonWaiting, fmt.Sprintf("pool %q of an overlapping subnet was not taken over yet", o.Name)
	}
	for address := range other.Record.Taken().All() {
		if self.Space.Contains(address) {
			return crdv1.ReasonOverlap, fmt.Sprintf("address %s is in use from pool %q; take it out of spec.ips", address, o.Name)
		}
	}
	return "", ""
}

func has(space allocator.Space, gateway *string) bool {
	if gateway == nil {
		return false
	}
	a, err := netip.ParseAddr(*gateway)
	return err == nil && space.Contains(a)
}

func unready(pool *crdv1.SpiderIPPool, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionFalse,
		ObservedGeneration: pool.Generation,
		Reason:             reason,
		Message:            clip(message, 1024), // a line of a record may be longer than a condition can be
	}
}

// text writes a range as users do.
func text(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	return r.String()
}

func ready(pool *crdv1.SpiderIPPool) bool {
	c := meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == pool.Generation
}

// older orders pools by creation; the UID decides within a second.
func older(a, b *crdv1.SpiderIPPool) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}
