package lifecycle

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func subnetsOverlap(a, b *crdv1.SpiderIPPool) bool {
	pa, err1 := netip.ParsePrefix(a.Spec.Subnet)
	pb, err2 := netip.ParsePrefix(b.Spec.Subnet)
	return err1 != nil || err2 != nil || pa.Overlaps(pb)
}

// objection is what another pool, or a pod, has against a judged pool.
type objection struct {
	reason, message string
	all             bool // against all of the pool, not only what it gained
}

// judgement is what becomes of a pool.
type judgement struct {
	condition metav1.Condition
	inService allocator.Space // what is handed out from now on
	gained    allocator.Space // what of it was not before
	withheld  allocator.Space // what spec has and is not handed out
	waits     bool            // for a neighbour that is about to be taken over
}

// admits reports whether addresses are handed out that were not before.
func (v judgement) admits() bool { return v.gained.Size() > 0 }

// again is how soon the pool is judged again; 0 where all of it is in service.
func (v judgement) again() time.Duration {
	switch {
	case v.waits:
		return retake
	case v.withheld.Size() > 0 || v.condition.Status != metav1.ConditionTrue:
		return rejudge
	}
	return 0
}

// judged reports whether nothing is left to be judged of a pool.
func judged(s *ledger.State) bool {
	c := s.Pool.ReadyCondition()
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == s.Pool.Generation && s.InService.Equal(s.Space)
}

// judge says what becomes of a pool that has this against it, nil for nothing. What is in service
// stays so where spec still has it.
func judge(self *ledger.State, o *objection) judgement {
	kept, gained := self.Free(), self.Gained()
	c := metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: self.Pool.Generation,
		Reason:             crdv1.ReasonInitialised,
		Message:            "no address is one of another pool",
	}
	switch {
	case o == nil:
		return judgement{condition: c, inService: self.Space, gained: gained}
	case o.all || kept.Size() == 0:
		c = unready(self.Pool, o.reason, o.message)
	default:
		// Not this generation: a release that does not know inService would drop it, and must not
		// take what is left for a pool whose whole spec was judged.
		c.ObservedGeneration = self.Pool.Generation - 1
		c.Reason, c.Message = crdv1.ReasonWithheld, view.Clip(rangesText(gained)+" not handed out: "+o.message, longestMessage)
	}
	return judgement{condition: c, inService: kept, withheld: gained, waits: o.reason == crdv1.ReasonWaiting}
}

// objectionTo returns what others have against a pool; nil for nothing. No address that it gained
// may be one of an older pool, in service or taken in any other. Others that do not carry the term
// were not taken over by who judges: another leader may be putting addresses of theirs in service.
func objectionTo(read decode, self *ledger.State, others []*crdv1.SpiderIPPool, term string) *objection {
	for _, o := range others {
		if found := against(read, self, o, term); found != nil {
			return found
		}
	}
	return nil
}

// against says what another pool has against this one, if anything.
func against(read decode, self *ledger.State, o *crdv1.SpiderIPPool, term string) *objection {
	space, err := ledger.SpaceOf(&o.Spec)
	if err != nil {
		return nil // nothing was ever given from a spec that cannot be read
	}
	other, err := read(o)
	gained := self.Gained()
	overlap := func(all bool, format string, args ...any) *objection {
		return &objection{reason: crdv1.ReasonOverlap, message: fmt.Sprintf(format, args...), all: all}
	}
	switch common, has1 := firstCommon(self, other, space, o); {
	case has1:
		return overlap(false, "%s is in pool %q too; take it out of spec.ips of one of the two", ledger.RangeText(common), o.Name)
	case has(gained, o.Spec.Gateway):
		return overlap(false, "%s is the gateway of pool %q; take it out of spec.ips", *o.Spec.Gateway, o.Name)
	case has(space, self.Pool.Spec.Gateway):
		return overlap(true, "the gateway %s is an address of pool %q; take it out of its spec.ips", *self.Pool.Spec.Gateway, o.Name)
	case err != nil || gained.Size() == 0:
		return nil // its addresses are others, or all of this pool's were judged before
	case o.Status.Term != term:
		return &objection{reason: crdv1.ReasonWaiting, message: fmt.Sprintf("pool %q of an overlapping subnet was not taken over yet", o.Name)}
	}
	for address := range other.Record.Taken().All() {
		if gained.Contains(address) {
			return overlap(false, "address %s is in use from pool %q; take it out of spec.ips", address, o.Name)
		}
	}
	return nil
}

// firstCommon returns the first range of what a pool gained that is another's: in service there, or
// of the spec of one that is older, or that cannot be read.
func firstCommon(self, other *ledger.State, space allocator.Space, o *crdv1.SpiderIPPool) (netipx.IPRange, bool) {
	gained := self.Gained()
	if other != nil {
		if inService, has2 := gained.Overlap(other.InService); has2 {
			return inService, true
		}
	}
	common, is := gained.Overlap(space)
	return common, is && (other == nil || older(o, self.Pool))
}

func has(space allocator.Space, gateway *string) bool {
	if gateway == nil {
		return false
	}
	a, err := netip.ParseAddr(*gateway)
	return err == nil && space.Contains(a)
}

// longestMessage of a condition, in bytes.
const longestMessage = 1024

func unready(pool *crdv1.SpiderIPPool, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type:               crdv1.ConditionReady,
		Status:             metav1.ConditionFalse,
		ObservedGeneration: pool.Generation,
		Reason:             reason,
		Message:            view.Clip(message, longestMessage), // a line of a record may be longer than a condition can be
	}
}

// rangesText writes a space, as far as a person wants to read.
func rangesText(s allocator.Space) string {
	const shown = 3
	var texts []string
	for i, r := range s.Ranges() {
		if i == shown {
			return strings.Join(texts, ", ") + fmt.Sprintf(" and %d more ranges are", len(s.Ranges())-shown)
		}
		texts = append(texts, ledger.RangeText(r))
	}
	verb := " are"
	if s.Size() == 1 {
		verb = " is"
	}
	return strings.Join(texts, ", ") + verb
}

// older orders pools by creation; the UID decides within a second.
func older(a, b *crdv1.SpiderIPPool) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}
