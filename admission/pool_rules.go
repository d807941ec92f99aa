package admission

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// poolChange is a pool that is being created or edited: the input of all rules. Both specs can be
// read.
type poolChange struct {
	name   string
	before *crdv1.SpiderIPPool // nil at creation
	spec   *crdv1.IPPoolSpec
	// was is the spec of before; empty at creation. If before cannot be read, it lacks what could
	// not be, so that this counts as new.
	was, now poolSpec
	// unreadable says that before cannot be read, so that it is unknown what the pool had.
	unreadable bool

	options PoolOptions
	path    *field.Path
}

// poolRule returns what is wrong with a change.
type poolRule func(*poolChange) field.ErrorList

// poolRules run at creation and at each edit of a spec alike: an edit must not lead to a spec that
// creation refuses. A rule that tolerates what the pool had before says so.
var poolRules = [...]poolRule{
	validateFamilyOf,
	validateSpecial,
	validateRouterAddresses,
	validateDestinations,
	validateDisjoint,
	validateGateways,
	validateInUse,
}

// newPoolChange reads both specs; before is nil at creation. The errors are those of the new spec.
func newPoolChange(before, pool *crdv1.SpiderIPPool, o PoolOptions) (*poolChange, field.ErrorList) {
	c := &poolChange{name: pool.Name, before: before, spec: &pool.Spec, options: o, path: field.NewPath("spec")}
	var errs field.ErrorList
	if before != nil {
		c.was, errs = parsePool(&before.Spec, c.path)
		c.unreadable = len(errs) > 0
	}
	c.now, errs = parsePool(&pool.Spec, c.path)
	return c, errs
}

// validate runs all rules.
func (c *poolChange) validate() field.ErrorList {
	var errs field.ErrorList
	for _, rule := range poolRules {
		errs = append(errs, rule(c)...)
	}
	return errs
}

// warnings says what is allowed and may surprise. Subnets never change, so an edit does not warn
// about those of other pools.
func (c *poolChange) warnings() []string {
	if c.before != nil {
		return addressWarnings(c)
	}
	return append(nestedSubnets(c.name, c.now.subnet, c.options.Pools), addressWarnings(c)...)
}

// gained returns the addresses that the pool did not have, or did not hand out before, such as its
// former gateway.
func (c *poolChange) gained() allocator.Space {
	handedOut := c.now.usable.Minus(c.was.usable)
	return c.now.addresses.Minus(c.was.addresses.Minus(handedOut))
}

// validateFamilyOf: the family of a pool never changes, so an edit is not checked: it could not fix
// it.
func validateFamilyOf(c *poolChange) field.ErrorList {
	if c.now.subnet == c.was.subnet {
		return nil
	}
	return validateFamily(c.options.Config, c.now.subnet.Addr(), c.spec.Subnet, c.path.Child("subnet"))
}
