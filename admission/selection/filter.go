package selection

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// unfit says why a pool cannot serve the pod; empty where it can. What the user decided is checked
// before what passes with time, so that no pod waits for a pool that would not serve it anyway.
func (s *Snapshot) unfit(pool *crdv1.SpiderIPPool, family Family) (string, cause) {
	if f, ok := familyOf(pool); !ok || f != family {
		return "is not an " + family.String() + " pool", wrongFamily
	}
	if reason := unusable(pool); reason != "" {
		return reason, unfit
	}
	for _, filter := range [...]func(*crdv1.SpiderIPPool) string{s.otherNamespace, s.otherPod, s.otherNode, otherNetwork} {
		if reason := filter(pool); reason != "" {
			return reason, unfit
		}
	}
	return unready(pool)
}

// unusable says why the user's own settings exclude a pool.
func unusable(pool *crdv1.SpiderIPPool) string {
	if readiness, why := pool.Readiness(); readiness == crdv1.Deleting || readiness == crdv1.Disabled {
		return why
	}
	return ""
}

// familyOf uses the subnet, which is immutable and always set.
func familyOf(pool *crdv1.SpiderIPPool) (Family, bool) {
	subnet, err := allocator.ParsePrefix(pool.Spec.Subnet)
	if err != nil {
		return 0, false
	}
	if subnet.Addr().Is6() {
		return IPv6, true
	}
	return IPv4, true
}

// otherNamespace does not say which namespaces a pool is for: the user who creates a pod may not be
// allowed to know those of others. Users who may read pools find them there.
func (s *Snapshot) otherNamespace(pool *crdv1.SpiderIPPool) string {
	field, serves := "namespaceName", slices.Contains(pool.Spec.NamespaceName, s.Namespace.Name)
	if len(pool.Spec.NamespaceName) == 0 { // else it beats the selector
		field = "namespaceAffinity"
		selector, err := metav1.LabelSelectorAsSelector(pool.Spec.NamespaceAffinity)
		if err != nil { // only a pool made without validation
			return "has a namespaceAffinity that cannot be read"
		}
		serves = pool.Spec.NamespaceAffinity == nil || selector.Matches(labels.Set(s.Namespace.Labels))
	}
	if serves {
		return ""
	}
	return fmt.Sprintf("is for other namespaces than %s (%s)", s.Namespace.Name, field)
}

func (s *Snapshot) otherPod(pool *crdv1.SpiderIPPool) string {
	if pool.Spec.PodAffinity == nil {
		return ""
	}
	selector, err := metav1.LabelSelectorAsSelector(pool.Spec.PodAffinity)
	if err != nil { // only a pool made without validation
		return fmt.Sprintf("has a podAffinity that cannot be read: %v", err)
	}
	if selector.Matches(labels.Set(s.Pod.Labels)) {
		return ""
	}
	return fmt.Sprintf("does not match the labels of the pod (podAffinity %s)", selector)
}

// otherNode: a pool for certain nodes would have to bring the pod there. Until that is built it
// serves only pods that name their node: an address on the wrong node is worse than no address.
func (s *Snapshot) otherNode(pool *crdv1.SpiderIPPool) string {
	bound := s.Pod.Spec.NodeName
	if names := pool.Spec.NodeName; len(names) > 0 { // beats the selector
		switch {
		case bound == "":
			return "is for certain nodes: nodeName is not supported yet for pods without spec.nodeName"
		case !slices.Contains(names, bound):
			return fmt.Sprintf("is for other nodes than %s, which the pod names (nodeName %s)", bound, some(names))
		}
		return ""
	}
	if a := pool.Spec.NodeAffinity; a != nil && len(a.MatchLabels)+len(a.MatchExpressions) > 0 {
		return "is for certain nodes: nodeAffinity is not supported yet"
	}
	return ""
}

func otherNetwork(pool *crdv1.SpiderIPPool) string {
	if len(pool.Spec.MultusName) > 0 {
		return "is for certain network attachments: multusName is not supported yet"
	}
	return ""
}

// unready tells a pool that the leader refused from one that it has not judged yet. A Ready pool
// that was edited goes on serving: the ledger does not hand out the added addresses before they
// were judged.
func unready(pool *crdv1.SpiderIPPool) (string, cause) {
	switch readiness, why := pool.Readiness(); readiness {
	case crdv1.Undecided:
		return why, undecided
	case crdv1.NotReady:
		return why, notReady
	case crdv1.Ready, crdv1.Disabled, crdv1.Deleting: // the last two were decided before
	}
	return "", unfit
}

// some shortens a list of names for a message.
func some(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
