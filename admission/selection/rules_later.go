package selection

import crdv1 "spidernet.io/spiderpool/crds/v1"

// Annotations by which Multus is asked for networks.
const (
	multusNetworks       = "k8s.v1.cni.cncf.io/networks"
	multusDefaultNetwork = "v1.multus-cni.io/default-network"
)

// Each rule of this file gets a file of its own once it does more than to refuse.

func bySubnets(s *Snapshot) (*wanted, error) { return s.refuseAnnotation(crdv1.AnnotationSubnets) }

func bySubnet(s *Snapshot) (*wanted, error) { return s.refuseAnnotation(crdv1.AnnotationSubnet) }

func byPools(s *Snapshot) (*wanted, error) { return s.refuseAnnotation(crdv1.AnnotationIPPools) }

// byNetwork: network attachments that the pod names may have default pools. Where Spiderpool is not the default network such a pod
// may well be none of ours: it is let through, and if its attachment does have our ipam, the plugin finds no address and says so.
func byNetwork(s *Snapshot) (*wanted, error) {
	if !s.Config.DefaultNetwork {
		return nil, nil
	}
	if c, err := s.refuseAnnotation(multusDefaultNetwork); err != nil {
		return c, err
	}
	return s.refuseAnnotation(multusNetworks)
}

// byDefaultSubnets: a number of addresses without a subnet asks for the cluster's default subnets.
func byDefaultSubnets(s *Snapshot) (*wanted, error) {
	return s.refuseAnnotation(crdv1.AnnotationIPPoolIPNumber)
}

func (s *Snapshot) refuseAnnotation(key string) (*wanted, error) {
	if _, ok := s.Pod.Annotations[key]; ok {
		return nil, unsupported(annotation(key))
	}
	return nil, nil
}
