package admission

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/allocator"
)

// special are the addresses that no pod can have: the plugin or the kernel refuses them.
var special = [...]struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/32"), "the unspecified address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// validateSpecial refuses addresses that each pod would fail with when its network is set up. Those
// that the pool had before are not checked again: it must be possible to shrink it.
func validateSpecial(c *poolChange) field.ErrorList {
	gained := c.gained()
	var errs field.ErrorList
	for _, s := range special {
		if s.prefix.Bits() <= c.now.subnet.Bits() && s.prefix.Overlaps(c.now.subnet) {
			if c.now.subnet == c.was.subnet {
				return nil // no update can fix it
			}
			return field.ErrorList{field.Invalid(c.path.Child("subnet"), c.spec.Subnet, fmt.Sprintf("no pod can have an address of %s (%s)", s.prefix, s.what))}
		}
		all, _ := allocator.NewSpace([]netipx.IPRange{netipx.RangeOfPrefix(s.prefix)}, nil) // one range, valid
		found := gained.Intersect(all).Ranges()
		for i, entry := range c.now.ips {
			if slices.ContainsFunc(found, entry.Overlaps) {
				errs = append(errs, field.Invalid(c.path.Child("ips").Index(i), c.spec.IPs[i], fmt.Sprintf("no pod can have an address of %s (%s): exclude it", s.prefix, s.what)))
			}
		}
	}
	return errs
}
