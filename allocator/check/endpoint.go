package check

import (
	"fmt"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// checkEndpoints compares endpoints with the live pods of the same name. Endpoints are derived from
// pods and follow them, so every difference may pass.
func checkEndpoints(holders []holder, endpoints []crdv1.SpiderEndpoint) []Violation {
	byName := map[string]*crdv1.SpiderEndpoint{} // namespace/name -> endpoint
	for i := range endpoints {
		byName[endpoints[i].Namespace+"/"+endpoints[i].Name] = &endpoints[i]
	}
	var found []Violation
	add := func(name, format string, args ...any) {
		found = append(found, Violation{
			Rule: RuleEndpoint, Subject: "endpoint " + name, Detail: fmt.Sprintf(format, args...), Passing: true,
		})
	}
	for _, h := range holders {
		e := byName[h.name()]
		delete(byName, h.name())
		switch {
		case e == nil && len(h.claims) > 0 && h.Spec.NodeName != "":
			add(h.name(), "missing although pod %s carries addresses on node %s", h.UID, h.Spec.NodeName)
		case e != nil && len(h.claims) == 0:
			add(h.name(), "is there although its pod carries no address")
		case e != nil:
			if why := differs(h, e.Status.Current); why != "" {
				add(h.name(), "%s", why)
			}
		}
	}
	for name := range byName {
		add(name, "is there although no live pod has the name")
	}
	return found
}

// differs says how e differs from what h has; empty if it does not.
func differs(h holder, e *crdv1.EndpointAllocation) string {
	if e == nil {
		return "says nothing of its pod"
	}
	if e.UID != string(h.UID) {
		return fmt.Sprintf("is of pod %s, the pod is %s", e.UID, h.UID)
	}
	if h.Spec.NodeName != "" && e.Node != h.Spec.NodeName {
		return fmt.Sprintf("says node %q, the pod is on %q", e.Node, h.Spec.NodeName)
	}
	assigned := crdv1.AssignedOf(h.Annotations, nil)
	if len(assigned) != len(e.IPs) {
		return fmt.Sprintf("has %d NICs, the pod has %d", len(e.IPs), len(assigned))
	}
	for i, a := range assigned {
		ip := e.IPs[i]
		got := [...]string{ip.Interface, ip.IPv4, ip.IPv4Pool, ip.IPv6, ip.IPv6Pool}
		want := [...]string{a.Interface, a.IPv4, a.IPv4Pool, a.IPv6, a.IPv6Pool}
		if got != want {
			return fmt.Sprintf("says %q, the pod carries %q", got, want)
		}
	}
	return ""
}
