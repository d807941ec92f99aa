package selection

import (
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/admission/config"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Pools are the pools of a moment. What they return is shared: nobody changes it.
type Pools interface {
	// Pool returns the pool of that name, or false.
	Pool(name string) (*crdv1.SpiderIPPool, bool)
	// All yields every pool once, in any order.
	All() iter.Seq[*crdv1.SpiderIPPool]
}

// Snapshot is all that the decision depends on.
type Snapshot struct {
	Pod       *corev1.Pod
	Namespace *corev1.Namespace
	Config    config.Config
	Pools     Pools
}

// Family is IPv4 or IPv6.
type Family int

// The families, in the order in which they are asked for.
const (
	IPv4 Family = iota
	IPv6
)

func (f Family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// Selection is what a pod asks for. Without NICs the pod is none of ours.
type Selection struct {
	// Rule says which rule decided, for people to read.
	Rule string
	NICs []NIC
}

// NIC is one network interface of the pod.
type NIC struct {
	Name         string
	CleanGateway bool   // no default route
	Wants        []Want // one or both families, IPv4 first
}

// Want is one address that the pod is to be given.
type Want struct {
	Family     Family
	Candidates []*crdv1.SpiderIPPool // in the order to try them, never empty
	PassedOver []PassedOver
}

// PassedOver is a pool that the rule names and that cannot serve the pod.
type PassedOver struct {
	Pool   string
	Reason string // continues a sentence that begins with the pool's name

	at    string // where the rule names it
	cause cause
}

func (p PassedOver) String() string { return fmt.Sprintf("%q %s", p.Pool, p.Reason) }

// cause tells apart what callers and strict rules branch on.
type cause int

const (
	unfit       cause = iota // the user decided so
	missing                  // no pool of that name
	wrongFamily              // of the other family
	notReady                 // the leader has refused it
	undecided                // the leader has not looked at it yet
)

// Slots returns the names of the candidates, one list for each address, in the order of NICs and families.
func (s Selection) Slots() [][]string {
	var slots [][]string
	for _, nic := range s.NICs {
		for _, want := range nic.Wants {
			names := make([]string, len(want.Candidates))
			for i, pool := range want.Candidates {
				names[i] = pool.Name
			}
			slots = append(slots, names)
		}
	}
	return slots
}

// PassedOver says which pools were passed over and why; empty where none was.
func (s Selection) PassedOver() string {
	var all []string
	for _, nic := range s.NICs {
		for _, want := range nic.Wants {
			for _, p := range want.PassedOver {
				all = append(all, p.String())
			}
		}
	}
	return strings.Join(all, "; ")
}

// longestGrace is the longest termination grace, in seconds, of a pod that is given addresses. A pod deleted by force is no object of
// any quota any more, and its address is held for as long as it may go on: without a bound, one user could hold all addresses for ever.
const longestGrace = 24 * 60 * 60

// Choose returns the candidates for each address that the pod asks for. Its error is always a *Refusal.
func Choose(s Snapshot) (Selection, error) {
	for _, rule := range rules {
		c, err := rule(&s)
		switch {
		case err != nil:
			return Selection{}, err
		case c == nil:
			continue
		}
		if _, ok := s.Pod.Annotations[crdv1.AnnotationRoutes]; ok {
			return Selection{}, unsupported(annotation(crdv1.AnnotationRoutes))
		}
		if grace := s.Pod.Spec.TerminationGracePeriodSeconds; grace != nil && *grace > longestGrace {
			return Selection{}, &Refusal{Reason: fmt.Sprintf("spec.terminationGracePeriodSeconds is %d: a pod with an address may have at most %d (a day), "+
				"since for that long its address is held where nobody confirms its end", *grace, longestGrace)}
		}
		return s.fulfil(c)
	}
	if !s.Config.DefaultNetwork {
		return Selection{}, nil
	}
	return Selection{}, &Refusal{
		Reason:   "no pool is named for the pod: set annotation " + crdv1.AnnotationIPPool + ", or have default pools; where Spiderpool is not the pod network, set defaultNetwork: false in the configuration",
		AllPools: true,
	}
}
