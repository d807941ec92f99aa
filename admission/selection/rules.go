package selection

import crdv1 "spidernet.io/spiderpool/crds/v1"

// rule returns what it chooses, or nil where it does not apply, or a *Refusal.
type rule func(*Snapshot) (*wanted, error)

// rules in the order of precedence; the first that applies decides.
var rules = []rule{
	bySubnets,
	bySubnet,
	byPools,
	byPool,
	byNamespace,
	byNetwork,
	byDefaultSubnets,
	byDefaultPools,
}

// wanted is what a rule wants before filters.
type wanted struct {
	rule string // for people to read
	nics []wish
	// strict: a name that does not exist or is of the wrong family refuses the pod, whatever else is left.
	strict bool
	// open: the rule would also have taken pools that it does not name, had there been any.
	open bool
}

// wish is what a rule wants for one NIC.
type wish struct {
	nic          string
	cleanGateway bool
	families     [2][]named // by Family; an empty one is not given
}

// named is a pool as a rule names it.
type named struct {
	pool string
	at   string // the position, such as ipv4[1]
}

// byPool: the pod names the pools of its default NIC.
func byPool(s *Snapshot) (*wanted, error) {
	value, ok := s.Pod.Annotations[crdv1.AnnotationIPPool]
	if !ok {
		return nil, nil
	}
	families, err := parseFamilies(value)
	if err != nil {
		return nil, malformed(annotation(crdv1.AnnotationIPPool), err)
	}
	return &wanted{
		rule:   annotation(crdv1.AnnotationIPPool),
		nics:   []wish{{nic: crdv1.DefaultNIC, families: families}},
		strict: true,
	}, nil
}
