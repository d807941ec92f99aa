package selection

import (
	"fmt"
	"slices"
	"strings"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// fulfil turns what a rule wants into candidates. What fails for one address does not hide what fails for another.
func (s *Snapshot) fulfil(c *choice) (Selection, error) {
	selection := Selection{Rule: c.rule}
	var failed failures
	for _, w := range c.nics {
		nic := NIC{Name: w.nic, CleanGateway: w.cleanGateway}
		for _, family := range [...]Family{IPv4, IPv6} {
			if len(w.families[family]) == 0 || !s.enabled(family) {
				continue
			}
			nic.Wants = append(nic.Wants, s.want(family, w.families[family]))
		}
		agreeOnVlan(nic.Wants)
		for i := range nic.Wants {
			failed.add(nic.Name, &nic.Wants[i], c.strict)
		}
		if len(nic.Wants) == 0 {
			failed.reasons = append(failed.reasons, s.noFamily(w))
			failed.final = true
		}
		selection.NICs = append(selection.NICs, nic)
	}
	if len(failed.reasons) > 0 {
		return Selection{}, failed.refusal(c)
	}
	return selection, nil
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

func (s *Snapshot) want(family Family, names []named) Want {
	want := Want{Family: family}
	for _, n := range names {
		pool, ok := s.Pools.Pool(n.pool)
		if !ok {
			want.PassedOver = append(want.PassedOver, PassedOver{Pool: n.pool, Reason: "does not exist", at: n.at, cause: missing})
			continue
		}
		if reason, cause := s.unfit(pool, family); reason != "" {
			want.PassedOver = append(want.PassedOver, PassedOver{Pool: n.pool, Reason: reason, at: n.at, cause: cause})
			continue
		}
		want.Candidates = append(want.Candidates, pool)
	}
	return want
}

// agreeOnVlan drops candidates until those of both families have one VLAN: the first of IPv4 that IPv6 has too. Addresses are
// reserved independently of one another, so no mixture must be possible. Where the families have none in common, IPv4 decides and
// IPv6 shows the reason.
func agreeOnVlan(wants []Want) {
	if len(wants) < 2 || len(wants[0].Candidates) == 0 || len(wants[1].Candidates) == 0 {
		return
	}
	decider := wants[0].Candidates[0]
search:
	for _, a := range wants[0].Candidates {
		for _, b := range wants[1].Candidates {
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

func (w *Want) keepVlan(decider *crdv1.SpiderIPPool) {
	kept := w.Candidates[:0]
	for _, pool := range w.Candidates {
		if vlan(pool) == vlan(decider) {
			kept = append(kept, pool)
			continue
		}
		w.PassedOver = append(w.PassedOver, PassedOver{
			Pool:   pool.Name,
			Reason: fmt.Sprintf("has vlan %d, and %q with vlan %d goes before it on the same NIC", vlan(pool), decider.Name, vlan(decider)),
		})
	}
	w.Candidates = kept
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

func (f *failures) add(nic string, w *Want, strict bool) {
	wrong := misnamed(w.PassedOver, strict)
	switch {
	case wrong != "":
		f.reasons = append(f.reasons, wrong)
		f.final = true
	case len(w.Candidates) > 0:
		return
	default:
		f.reasons = append(f.reasons, fmt.Sprintf("no pool is left for %s of %s: %s", w.Family, nic, join(w.PassedOver)))
		waits := slices.ContainsFunc(w.PassedOver, func(p PassedOver) bool { return p.cause == notReady || p.cause == undecided })
		f.waiting = f.waiting || waits
		f.final = f.final || !waits
	}
	for _, p := range w.PassedOver {
		f.pools = append(f.pools, p.Pool)
		f.undecided = f.undecided || p.cause == undecided
	}
}

// misnamed says which names a strict rule does not forgive.
func misnamed(passed []PassedOver, strict bool) string {
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

func (f *failures) refusal(c *choice) *Refusal {
	return &Refusal{
		Rule:      c.rule,
		Reason:    strings.Join(f.reasons, "; "),
		Pools:     f.pools,
		AllPools:  c.open,
		Undecided: f.undecided && !f.final,
		NotYet:    f.waiting && !f.final,
	}
}

func join(passed []PassedOver) string {
	texts := make([]string, len(passed))
	for i, p := range passed {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}
