package selection

import crdv1 "spidernet.io/spiderpool/crds/v1"

// Annotations that ask Multus for networks.
const (
	multusNetworks       = "k8s.v1.cni.cncf.io/networks"
	multusDefaultNetwork = "v1.multus-cni.io/default-network"
)

// Each rule of this file gets a file of its own once it does more than refuse.

func bySubnets(s *Snapshot) (*request, error) { return s.refuseAnnotation(crdv1.AnnotationSubnets) }

func bySubnet(s *Snapshot) (*request, error) { return s.refuseAnnotation(crdv1.AnnotationSubnet) }

func byPools(s *Snapshot) (*request, error) { return s.refuseAnnotation(crdv1.AnnotationIPPools) }

// byNetwork: the network attachments that the pod names may have default pools. Where Spiderpool is
// not the default network we probably do not manage such a pod: it passes, and if its attachment
// does use our ipam, the plugin finds no address and says so.
func byNetwork(s *Snapshot) (*request, error) {
	if !s.Config.DefaultNetwork {
		return nil, nil
	}
	if c, err := s.refuseAnnotation(multusDefaultNetwork); err != nil {
		return c, err
	}
	return s.refuseAnnotation(multusNetworks)
}

// byDefaultSubnets: a number of addresses without a subnet asks for the cluster's default subnets.
func byDefaultSubnets(s *Snapshot) (*request, error) {
	return s.refuseAnnotation(crdv1.AnnotationIPPoolIPNumber)
}

func (s *Snapshot) refuseAnnotation(key string) (*request, error) {
	if _, ok := s.Pod.Annotations[key]; ok {
		return nil, unsupported(annotation(key))
	}
	return nil, nil
}
