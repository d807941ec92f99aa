package selection

import (
	"fmt"
	"slices"
	"strings"

	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// addressRequest is one address that a rule asks for.
type addressRequest struct {
	nic        string
	family     Family
	candidates []*crdv1.SpiderIPPool // in the order to try them
	passed     []passedOver
}

// fulfil turns what a rule asks for into slots. It collects the errors of all addresses.
func (s *Snapshot) fulfil(c *request) (Selection, error) {
	selection := Selection{Rule: c.rule, Pools: map[string]*crdv1.SpiderIPPool{}, CleanGateway: map[string]bool{}}
	var failed failures
	for _, w := range c.nics {
		requests := s.addressRequests(w)
		if len(requests) == 0 {
			failed.reasons = append(failed.reasons, s.noFamily(w))
			failed.final = true
		}
		for i := range requests {
			failed.add(&requests[i], c.strict)
			selection.add(&requests[i])
		}
		if w.cleanGateway {
			selection.CleanGateway[w.nic] = true
		}
	}
	if len(failed.reasons) > 0 {
		return Selection{}, failed.refusal(c)
	}
	return selection, nil
}

// addressRequests returns the addresses that a NIC is to have, IPv4 first.
func (s *Snapshot) addressRequests(w nicRequest) []addressRequest {
	var requests []addressRequest
	for _, family := range [...]Family{IPv4, IPv6} {
		if len(w.families[family]) > 0 && s.enabled(family) {
			requests = append(requests, s.addressRequest(w.nic, family, w.families[family]))
		}
	}
	agreeOnVlan(requests)
	return requests
}

func (s *Selection) add(r *addressRequest) {
	slot := choice.Slot{NIC: r.nic, Family: r.family}
	for _, pool := range r.candidates {
		slot.Pools = append(slot.Pools, pool.Name)
		s.Pools[pool.Name] = pool
	}
	for _, p := range r.passed {
		slot.PassedOver = append(slot.PassedOver, p.PassedOver)
	}
	s.Slots = append(s.Slots, slot)
}

func (s *Snapshot) enabled(f Family) bool {
	return [...]bool{s.Config.EnableIPv4, s.Config.EnableIPv6}[f]
}

func (s *Snapshot) noFamily(w nicRequest) string {
	named, key := IPv4, "enableIPv4"
	if len(w.families[IPv4]) == 0 {
		named, key = IPv6, "enableIPv6"
	}
	return fmt.Sprintf("only %s pools are named for %s, and the configuration disables %s (%s: false)", named, w.nic, named, key)
}

func (s *Snapshot) addressRequest(nic string, family Family, names []poolRef) addressRequest {
	r := addressRequest{nic: nic, family: family}
	for _, n := range names {
		pool, ok := s.Pools.Pool(n.pool)
		if !ok {
			r.pass(n, "does not exist", missing)
			continue
		}
		if reason, cause := s.unfit(pool, family); reason != "" {
			r.pass(n, reason, cause)
			continue
		}
		r.candidates = append(r.candidates, pool)
	}
	return r
}

func (r *addressRequest) pass(n poolRef, reason string, c cause) {
	r.passed = append(r.passed, passedOver{PassedOver: choice.PassedOver{Pool: n.pool, Reason: reason}, at: n.at, cause: c})
}

// agreeOnVlan drops candidates until those of both families have one VLAN: the first of IPv4 that
// IPv6 has too. Addresses are reserved independently of one another, so there must be no mixture.
// Where the families have none in common, IPv4 decides and IPv6 shows the reason.
func agreeOnVlan(requests []addressRequest) {
	if len(requests) < 2 || len(requests[0].candidates) == 0 || len(requests[1].candidates) == 0 {
		return
	}
	decider := requests[0].candidates[0]
search:
	for _, a := range requests[0].candidates {
		for _, b := range requests[1].candidates {
			if vlan(a) == vlan(b) {
				decider = a
				break search
			}
		}
	}
	for i := range requests {
		requests[i].keepVlan(decider)
	}
}

func (r *addressRequest) keepVlan(decider *crdv1.SpiderIPPool) {
	kept := r.candidates[:0]
	for _, pool := range r.candidates {
		if vlan(pool) == vlan(decider) {
			kept = append(kept, pool)
			continue
		}
		r.pass(poolRef{pool: pool.Name}, fmt.Sprintf("has vlan %d, and %q with vlan %d goes before it on the same NIC", vlan(pool), decider.Name, vlan(decider)), unfit)
	}
	r.candidates = kept
}

func vlan(p *crdv1.SpiderIPPool) int64 { return valueOf(p.Spec.Vlan) }

// failures collects why addresses cannot be given.
type failures struct {
	reasons   []string
	pools     []string // all that were passed over for these addresses
	undecided bool
	waiting   bool // some address waits for a pool to become Ready
	final     bool // some address does not
}

func (f *failures) add(r *addressRequest, strict bool) {
	wrong := misnamed(r.passed, strict)
	switch {
	case wrong != "":
		f.reasons = append(f.reasons, wrong)
		f.final = true
	case len(r.candidates) > 0:
		return
	default:
		f.reasons = append(f.reasons, fmt.Sprintf("no pool is left for %s of %s: %s", r.family, r.nic, join(r.passed)))
		waits := slices.ContainsFunc(r.passed, func(p passedOver) bool { return p.cause == notReady || p.cause == undecided })
		f.waiting = f.waiting || waits
		f.final = f.final || !waits
	}
	for _, p := range r.passed {
		f.pools = append(f.pools, p.Pool)
		f.undecided = f.undecided || p.cause == undecided
	}
}

// misnamed returns the names that a strict rule does not accept.
func misnamed(passed []passedOver, strict bool) string {
	if !strict {
		return ""
	}
	var wrong []string
	for _, p := range passed {
		if p.cause == missing || p.cause == wrongFamily {
			wrong = append(wrong, fmt.Sprintf("%s: pool %s", p.at, p))
		}
	}
	return strings.Join(wrong, "; ")
}

func (f *failures) refusal(c *request) *Refusal {
	return &Refusal{
		Rule:      c.rule,
		Reason:    strings.Join(f.reasons, "; "),
		Pools:     f.pools,
		AllPools:  c.open,
		Undecided: f.undecided && !f.final,
		NotYet:    f.waiting && !f.final,
	}
}

func join(passed []passedOver) string {
	texts := make([]string, len(passed))
	for i, p := range passed {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}
