package admission

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// maxNamed limits how many objects a message names.
const maxNamed = 10

// validateDisjoint refuses addresses that another pool has. Those that the pool had before are not
// checked again: a pool that overlaps another must be shrinkable.
func validateDisjoint(c *poolChange) field.ErrorList {
	gained := c.gained()
	if gained.Size() == 0 {
		return nil
	}
	var errs field.ErrorList
	for _, other := range c.others() {
		common, overlap := gained.Overlap(other.addresses)
		if !overlap {
			continue
		}
		i := slices.IndexFunc(c.now.ips, func(r netipx.IPRange) bool { return r.Overlaps(common) })
		errs = append(errs, field.Invalid(c.path.Child("ips").Index(i), textOf(c.now.ips[i]), fmt.Sprintf("overlaps pool %q: %s", other.name, textOf(common))))
		if len(errs) == maxNamed {
			break
		}
	}
	return errs
}

// validateGateways refuses to hand out another pool's gateway, and a gateway that another pool
// hands out: the pod that got it would cut the subnet off. What was wrong before is not checked
// again.
func validateGateways(c *poolChange) field.ErrorList {
	handedOut := c.now.usable.Minus(c.was.usable)
	moved := c.now.gateway.IsValid() && c.now.gateway != c.was.gateway
	if handedOut.Size() == 0 && !moved {
		return nil
	}
	var errs field.ErrorList
	for _, other := range c.others() {
		if other.gateway.IsValid() && handedOut.Contains(other.gateway) {
			errs = append(errs, field.Invalid(c.path.Child("ips"), other.gateway.String(), fmt.Sprintf("is the gateway of pool %q: exclude it", other.name)))
		}
		if moved && other.usable.Contains(c.now.gateway) {
			errs = append(errs, field.Invalid(c.path.Child("gateway"), c.now.gateway.String(), fmt.Sprintf("is an address of pool %q: exclude it there first", other.name)))
		}
		if len(errs) >= maxNamed {
			break
		}
	}
	return errs
}

// otherPool is a pool other than the one that changes.
type otherPool struct {
	name string
	poolSpec
}

// others returns the other pools with a subnet that overlaps the pool's, by name. It leaves out
// those that were created without validation and cannot be read: they are never Ready, so none of
// their addresses is handed out.
func (c *poolChange) others() []otherPool {
	var readable []otherPool
	for _, other := range neighbours(c.name, c.now.subnet, c.options.Pools) {
		if parsed, errs := parsePool(&other.Spec, c.path); len(errs) == 0 {
			readable = append(readable, otherPool{other.Name, parsed})
		}
	}
	return readable
}

// nestedSubnets warns about subnets inside one another. The addresses are disjoint, but the pods of
// the two pools disagree on what is on their network and what is behind the gateway.
func nestedSubnets(name string, subnet netip.Prefix, pools PoolLister) []string {
	var inside, around []string
	for _, other := range neighbours(name, subnet, pools) {
		prefix, err := netip.ParsePrefix(other.Spec.Subnet)
		text := fmt.Sprintf("%q (%s)", other.Name, other.Spec.Subnet)
		switch {
		case err != nil || prefix == subnet:
		case prefix.Bits() < subnet.Bits():
			around = append(around, text)
		default:
			inside = append(inside, text)
		}
	}
	var warnings []string
	if len(around) > 0 {
		warnings = append(warnings, fmt.Sprintf("spec.subnet: %s lies inside the subnet of pool %s", subnet, list(around)))
	}
	if len(inside) > 0 {
		warnings = append(warnings, fmt.Sprintf("spec.subnet: %s contains the subnet of pool %s", subnet, list(inside)))
	}
	return warnings
}

// neighbours returns the other pools with a subnet that overlaps subnet, by name.
func neighbours(name string, subnet netip.Prefix, pools PoolLister) []*crdv1.SpiderIPPool {
	if !subnet.IsValid() {
		return nil
	}
	var found []*crdv1.SpiderIPPool
	for other := range pools.All() {
		prefix, err := netip.ParsePrefix(other.Spec.Subnet)
		if err == nil && other.Name != name && prefix.Overlaps(subnet) {
			found = append(found, other)
		}
	}
	slices.SortFunc(found, func(a, b *crdv1.SpiderIPPool) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func textOf(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	return r.String()
}

// list joins what a message names, and counts the rest.
func list(texts []string) string {
	if len(texts) <= maxNamed {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:maxNamed], ", "), len(texts)-maxNamed)
}
