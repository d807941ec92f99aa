package checker

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"go4.org/netipx"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// pool is one pool as read.
type pool struct {
	*crdv1.SpiderIPPool
	record *allocator.Record
	space  allocator.Space // ips - excludeIPs
	ready  bool
}

func (p pool) subject() string { return fmt.Sprintf("pool %q", p.Name) }

// readPools decodes all pools; what cannot be decoded is a violation and
// counts as empty.
func readPools(items []crdv1.SpiderIPPool) (map[string]pool, []Violation) { // name -> pool
	pools := map[string]pool{}
	var found []Violation
	for i := range items {
		p := pool{SpiderIPPool: &items[i], record: &allocator.Record{}}
		p.ready = apimeta.IsStatusConditionTrue(p.Status.Conditions, crdv1.ConditionReady)
		record, err := allocator.Decode(allocator.Encoded{
			Settled: p.Status.Settled, Reserved: p.Status.Reserved, Retained: p.Status.Retained, Held: p.Status.Held,
			PodsSeenThrough: p.Status.PodsSeenThrough, LongestGrace: p.Status.LongestGrace, Term: p.Status.Term,
		})
		if err != nil {
			found = append(found, Violation{Rule: RuleCounters, Subject: p.subject(), Detail: err.Error()})
		} else {
			p.record = record
		}
		if p.space, err = spaceOf(p.SpiderIPPool); err != nil && p.ready {
			found = append(found, Violation{Rule: RulePools, Subject: p.subject(), Detail: "Ready although " + err.Error()})
		}
		pools[p.Name] = p
	}
	return pools, found
}

func spaceOf(p *crdv1.SpiderIPPool) (allocator.Space, error) {
	include, err := ranges("ips", p.Spec.IPs)
	if err != nil {
		return allocator.Space{}, err
	}
	exclude, err := ranges("excludeIPs", p.Spec.ExcludeIPs)
	if err != nil {
		return allocator.Space{}, err
	}
	if p.Spec.Gateway != nil {
		gateway, err := ranges("gateway", []string{*p.Spec.Gateway})
		if err != nil {
			return allocator.Space{}, err
		}
		exclude = append(exclude, gateway...)
	}
	return allocator.NewSpace(include, exclude)
}

func ranges(field string, entries []string) ([]netipx.IPRange, error) {
	var all []netipx.IPRange
	for i, entry := range entries {
		r, err := allocator.ParseRange(entry)
		if err != nil {
			return nil, fmt.Errorf("spec.%s[%d]: %w", field, i, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// checkCounters compares counters with the sets they count, and the sets with
// what the pool may hand out. The total follows spec with the leader's next
// write; what is taken is counted in the write that takes it.
func checkCounters(pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, p := range pools {
		if got, want := count(p.Status.AllocatedIPCount), uint64(p.record.Count()); got != want { // a length
			found = append(found, Violation{
				Rule: RuleCounters, Subject: p.subject(), Detail: fmt.Sprintf("allocatedIPCount is %d, recorded are %d", got, want),
			})
		}
		if got, want := count(p.Status.TotalIPCount), p.space.Size(); p.ready && got != want {
			found = append(found, Violation{
				Rule: RuleCounters, Subject: p.subject(), Detail: fmt.Sprintf("totalIPCount is %d, the pool has %d", got, want), Passing: true,
			})
		}
		for a := range p.record.Taken().All() {
			if !p.space.Contains(a) {
				found = append(found, Violation{
					Rule: RuleForeign, Subject: p.subject(), Detail: fmt.Sprintf("records %s, which spec does not let it hand out", a),
				})
			}
		}
	}
	return found
}

func count(c *int64) uint64 {
	if c == nil || *c < 0 {
		return 0
	}
	return uint64(*c)
}

// checkOverlap finds Ready pools with an address in common.
func checkOverlap(pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, p := range pools {
		for _, o := range pools {
			if !p.ready || !o.ready || p.Name >= o.Name {
				continue
			}
			if r, ok := p.space.Overlap(o.space); ok {
				found = append(found, Violation{
					Rule: RulePools, Subject: p.subject(), Detail: fmt.Sprintf("Ready, and so is pool %q, which has %s too", o.Name, r),
				})
			}
		}
	}
	return found
}

// checkRecorded is I2.
func checkRecorded(holders []holder, pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, h := range holders {
		for _, c := range h.claims {
			subject := "pod " + h.name()
			p, ok := pools[c.Pool]
			if !ok {
				found = append(found, Violation{
					Rule: RuleRecorded, Subject: subject, Detail: fmt.Sprintf("carries %s of pool %q, which does not exist", c.Address, c.Pool),
				})
				continue
			}
			if why := recordedFor(h, c.Address, p.record); why != "" {
				found = append(found, Violation{
					Rule: RuleRecorded, Subject: subject, Detail: fmt.Sprintf("carries %s of pool %q, %s", c.Address, c.Pool, why),
					Passing: !p.ready, // its claims are being put back
				})
			}
		}
	}
	return found
}

// recordedFor says why the record does not hold a for h; empty if it does.
func recordedFor(h holder, a netip.Addr, r *allocator.Record) string {
	kept, retained := r.RetainedAt(a)
	if retained && (kept.Identity.Namespace != h.Namespace || kept.Identity.Pod != h.Name) {
		return fmt.Sprintf("where it is retained for pod %s/%s", kept.Identity.Namespace, kept.Identity.Pod)
	}
	if r.InUse(a) {
		return ""
	}
	if v, ok := r.AwaitedAt(a); ok {
		late := v.Pod.UID != "" && v.Pod.UID == string(h.UID)
		if v.Token == h.token || late {
			return ""
		}
		return fmt.Sprintf("where it is %s for token %s in namespace %s", awaiting(retained), v.Token, v.Pod.Namespace)
	}
	if v, ok := r.HoldAt(a); ok {
		return fmt.Sprintf("where it is held for node %s since %s", cmp.Or(v.Node, "unknown"), v.Since.UTC().Format(time.RFC3339))
	}
	if retained {
		return "where it is retained for the pod, and vacant"
	}
	return "where it is free"
}

func awaiting(retained bool) string {
	if retained {
		return "promised"
	}
	return "reserved"
}
