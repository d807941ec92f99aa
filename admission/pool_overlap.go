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

// maxNamed bounds how many objects a message names.
const maxNamed = 10

// validateDisjoint refuses addresses that another pool has. Those that the pool had before are not asked again: it must be possible
// to shrink a pool that overlaps another.
func validateDisjoint(name string, pool, before poolSpec, pools PoolLister, path *field.Path) field.ErrorList {
	added := pool.addresses.Minus(before.addresses)
	if added.Size() == 0 {
		return nil
	}
	var errs field.ErrorList
	for _, other := range neighbours(name, pool.subnet, pools) {
		parsed, bad := parsePool(&other.Spec, path)
		if len(bad) > 0 {
			continue // made without validation: never Ready, so nothing of it is handed out
		}
		errs = append(errs, validateRouters(pool, parsed, other.Name, path)...)
		common, overlap := added.Overlap(parsed.addresses)
		if !overlap {
			continue
		}
		i := slices.IndexFunc(pool.ips, func(r netipx.IPRange) bool { return r.Overlaps(common) })
		errs = append(errs, field.Invalid(path.Child("ips").Index(i), textOf(pool.ips[i]), fmt.Sprintf("overlaps pool %q: %s", other.Name, textOf(common))))
		if len(errs) == maxNamed {
			break
		}
	}
	return errs
}

// validateRouters refuses to hand out another pool's gateway, and a gateway that
// another pool hands out: whoever got it would cut the subnet off.
func validateRouters(pool, other poolSpec, name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	usable, theirs := pool.usable(), other.usable()
	if other.gateway.IsValid() && usable.Contains(other.gateway) {
		errs = append(errs, field.Invalid(path.Child("ips"), other.gateway.String(), fmt.Sprintf("is the gateway of pool %q: exclude it", name)))
	}
	if pool.gateway.IsValid() && theirs.Contains(pool.gateway) {
		errs = append(errs, field.Invalid(path.Child("gateway"), pool.gateway.String(), fmt.Sprintf("is an address of pool %q: exclude it there first", name)))
	}
	return errs
}

// nestedSubnets warns of subnets inside one another. The addresses are disjoint, but the pods of the two pools disagree on who is
// on their network and who is behind the gateway.
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

// neighbours returns the other pools whose subnet meets subnet, by name.
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
