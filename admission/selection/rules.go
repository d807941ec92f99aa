package selection

import crdv1 "spidernet.io/spiderpool/crds/v1"

// rule returns what it asks for, nil where it does not apply, or a *Refusal.
type rule func(*Snapshot) (*request, error)

// rules are in the order of precedence; the first that applies decides.
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

// request is what a rule asks for, before filters.
type request struct {
	rule string // for messages
	nics []nicRequest
	// strict: a name that does not exist or is of the wrong family refuses the pod, whatever else
	// is left.
	strict bool
	// open: the rule would also have used other pools than it names, had they existed.
	open bool
}

// nicRequest is what a rule asks for one NIC.
type nicRequest struct {
	nic          string
	cleanGateway bool
	families     [2][]poolRef // by Family; not given where empty
}

// poolRef is a pool as a rule names it.
type poolRef struct {
	pool string
	at   string // the position, such as ipv4[1]
}

// byPool: the pod names the pools of its default NIC.
func byPool(s *Snapshot) (*request, error) {
	value, ok := s.Pod.Annotations[crdv1.AnnotationIPPool]
	if !ok {
		return nil, nil
	}
	families, err := parseFamilies(value)
	if err != nil {
		return nil, malformed(annotation(crdv1.AnnotationIPPool), err)
	}
	return &request{
		rule:   annotation(crdv1.AnnotationIPPool),
		nics:   []nicRequest{{nic: crdv1.DefaultNIC, families: families}},
		strict: true,
	}, nil
}
