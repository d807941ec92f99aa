package selection

import (
	"fmt"
	"iter"
	"time"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Pools is a snapshot of the pools. What it returns is shared and MUST NOT be changed.
type Pools interface {
	// Pool returns the pool of that name, or false.
	Pool(name string) (*crdv1.SpiderIPPool, bool)
	// All yields every pool once, in any order.
	All() iter.Seq[*crdv1.SpiderIPPool]
}

// Snapshot is everything that the decision depends on.
type Snapshot struct {
	Pod       *corev1.Pod
	Namespace *corev1.Namespace
	Config    config.Config
	Pools     Pools
}

// Family is choice.Family.
type Family = choice.Family

// The families, in the order in which they are asked for.
const (
	IPv4 = choice.IPv4
	IPv6 = choice.IPv6
)

// Selection is what a pod asks for. A pod without slots is left alone.
type Selection struct {
	// Rule says which rule decided, for messages.
	Rule string
	// Slots are the addresses, ordered by NIC and family.
	Slots []choice.Slot
	// Pools are the candidates of all slots, as they were when they were chosen.
	Pools map[string]*crdv1.SpiderIPPool // name -> pool
	// CleanGateway says which NICs get no default route.
	CleanGateway map[string]bool // NIC -> true
}

// passedOver is a pool that the rule names and that cannot serve the pod.
type passedOver struct {
	choice.PassedOver
	at    string // where the rule names it
	cause cause
}

// cause is why a pool was passed over, as far as callers and strict rules branch on it.
type cause int

const (
	unfit       cause = iota // by the user's settings
	missing                  // no pool of that name
	wrongFamily              // of the other family
	notReady                 // the leader has refused it
	undecided                // the leader has not judged it yet
)

// longestGrace is the longest termination grace, in seconds, of a pod that gets addresses. A pod
// deleted by force no longer counts for any quota, but its address is held for as long as it may
// still run: without a limit, one user could hold all addresses indefinitely.
const longestGrace = int64(allocator.MaxGrace / time.Second)

// Choose returns the candidates for each address that the pod asks for. Its error is always a
// *Refusal.
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
