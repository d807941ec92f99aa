package selection

import crdv1 "spidernet.io/spiderpool/crds/v1"

// byNamespace: the namespace names the default pools of its pods. Where Spiderpool is not the
// default network, a pod that names nothing itself is left alone.
func byNamespace(s *Snapshot) (*request, error) {
	if !s.Config.DefaultNetwork {
		return nil, nil
	}
	var families [2][]poolRef
	rule := ""
	for family, key := range [...]string{crdv1.AnnotationDefaultIPv4IPPool, crdv1.AnnotationDefaultIPv6IPPool} {
		value, ok := s.Namespace.Annotations[key]
		if !ok {
			continue
		}
		where := annotation(key) + " of namespace " + s.Namespace.Name
		names, err := parseNames(value)
		if err != nil {
			return nil, malformed(where, err)
		}
		for i := range names {
			names[i].at = key + names[i].at
		}
		families[family] = names
		if rule != "" {
			rule += " and "
		}
		rule += annotation(key)
	}
	if rule == "" {
		return nil, nil
	}
	return &request{
		rule:   rule + " of namespace " + s.Namespace.Name,
		nics:   []nicRequest{{nic: crdv1.DefaultNIC, families: families}},
		strict: true,
	}, nil
}
