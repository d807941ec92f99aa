package selection

import (
	"fmt"
	"slices"
	"strings"

	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// want is one address that a rule wants.
type want struct {
	nic        string
	family     Family
	candidates []*crdv1.SpiderIPPool // in the order to try them
	passed     []passedOver
}

// fulfil turns what a rule wants into slots. What fails for one address does not hide what fails for another.
func (s *Snapshot) fulfil(c *wanted) (Selection, error) {
	selection := Selection{Rule: c.rule, Pools: map[string]*crdv1.SpiderIPPool{}, CleanGateway: map[string]bool{}}
	var failed failures
	for _, w := range c.nics {
		wants := s.wants(w)
		if len(wants) == 0 {
			failed.reasons = append(failed.reasons, s.noFamily(w))
			failed.final = true
		}
		for i := range wants {
			failed.add(&wants[i], c.strict)
			selection.add(&wants[i])
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

// wants returns the addresses that a NIC is to have, IPv4 first.
func (s *Snapshot) wants(w wish) []want {
	var wants []want
	for _, family := range [...]Family{IPv4, IPv6} {
		if len(w.families[family]) > 0 && s.enabled(family) {
			wants = append(wants, s.want(w.nic, family, w.families[family]))
		}
	}
	agreeOnVlan(wants)
	return wants
}

func (s *Selection) add(w *want) {
	slot := choice.Slot{NIC: w.nic, Family: w.family}
	for _, pool := range w.candidates {
		slot.Pools = append(slot.Pools, pool.Name)
		s.Pools[pool.Name] = pool
	}
	for _, p := range w.passed {
		slot.PassedOver = append(slot.PassedOver, p.PassedOver)
	}
	s.Slots = append(s.Slots, slot)
}

func (s *Snapshot) enabled(f Family) bool {
	return [...]bool{s.Config.EnableIPv4, s.Config.EnableIPv6}[f]
}

func (s *Snapshot) noFamily(w wish) string {
	named, key := IPv4, "enableIPv4"
	if len(w.families[IPv4]) == 0 {
		named, key = IPv6, "enableIPv6"
	}
	return fmt.Sprintf("only %s pools are named for %s, and the configuration disables %s (%s: false)", named, w.nic, named, key)
}

func (s *Snapshot) want(nic string, family Family, names []named) want {
	w := want{nic: nic, family: family}
	for _, n := range names {
		pool, ok := s.Pools.Pool(n.pool)
		if !ok {
			w.pass(n, "does not exist", missing)
			continue
		}
		if reason, cause := s.unfit(pool, family); reason != "" {
			w.pass(n, reason, cause)
			continue
		}
		w.candidates = append(w.candidates, pool)
	}
	return w
}

func (w *want) pass(n named, reason string, c cause) {
	w.passed = append(w.passed, passedOver{PassedOver: choice.PassedOver{Pool: n.pool, Reason: reason}, at: n.at, cause: c})
}

// agreeOnVlan drops candidates until those of both families have one VLAN: the first of IPv4 that IPv6 has too. Addresses are
// reserved independently of one another, so no mixture must be possible. Where the families have none in common, IPv4 decides and
// IPv6 shows the reason.
func agreeOnVlan(wants []want) {
	if len(wants) < 2 || len(wants[0].candidates) == 0 || len(wants[1].candidates) == 0 {
		return
	}
	decider := wants[0].candidates[0]
search:
	for _, a := range wants[0].candidates {
		for _, b := range wants[1].candidates {
			if vlan(a) == vlan(b) {
				decider = a
				break search
			}
		}
	}
	for i := range wants {
		wants[i].keepVlan(decider)
	}
}

func (w *want) keepVlan(decider *crdv1.SpiderIPPool) {
	kept := w.candidates[:0]
	for _, pool := range w.candidates {
		if vlan(pool) == vlan(decider) {
			kept = append(kept, pool)
			continue
		}
		w.pass(named{pool: pool.Name}, fmt.Sprintf("has vlan %d, and %q with vlan %d goes before it on the same NIC", vlan(pool), decider.Name, vlan(decider)), unfit)
	}
	w.candidates = kept
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

func (f *failures) add(w *want, strict bool) {
	wrong := misnamed(w.passed, strict)
	switch {
	case wrong != "":
		f.reasons = append(f.reasons, wrong)
		f.final = true
	case len(w.candidates) > 0:
		return
	default:
		f.reasons = append(f.reasons, fmt.Sprintf("no pool is left for %s of %s: %s", w.family, w.nic, join(w.passed)))
		waits := slices.ContainsFunc(w.passed, func(p passedOver) bool { return p.cause == notReady || p.cause == undecided })
		f.waiting = f.waiting || waits
		f.final = f.final || !waits
	}
	for _, p := range w.passed {
		f.pools = append(f.pools, p.Pool)
		f.undecided = f.undecided || p.cause == undecided
	}
}

// misnamed says which names a strict rule does not forgive.
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

func (f *failures) refusal(c *wanted) *Refusal {
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
