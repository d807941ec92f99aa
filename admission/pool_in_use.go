package admission

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/status"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// usage is which pods use the addresses of a pool: what its record says, and what live pods claim,
// recorded or not (I8).
type usage struct {
	record *allocator.Record
	pods   map[netip.Addr][]string // address -> live pods
}

// usageOf reads the record of the given pool, which is the stored one and not the cache's.
func usageOf(pool *crdv1.SpiderIPPool, users Users) (usage, error) {
	record, err := status.Record(&pool.Status)
	if err != nil {
		record = &allocator.Record{}
	}
	return usage{record: record, pods: users.UsersOf(pool.Name)}, err
}

// addresses returns the addresses in use that matter, in order.
func (u usage) addresses(matters func(netip.Addr) bool) []netip.Addr {
	var used []netip.Addr
	for a := range u.record.Taken().All() {
		if matters(a) {
			used = append(used, a)
		}
	}
	for a := range u.pods {
		if !u.record.Contains(a) && matters(a) {
			used = append(used, a)
		}
	}
	slices.SortFunc(used, netip.Addr.Compare)
	return used
}

// user says what uses an address.
func (u usage) user(a netip.Addr) string {
	if pods := u.pods[a]; len(pods) > 0 {
		return strings.Join(pods, ", ")
	}
	if r, ok := u.record.RetainedAt(a); ok {
		text := "retained for " + named(r.Identity)
		switch r.Use {
		case allocator.InUse:
			text += ", its pod was not seen to end"
		case allocator.PendingAdmission:
			text += ", a pod may come with it"
		case allocator.Held:
			text += ", " + u.hold(a)
		case allocator.Unassigned:
		}
		return text
	}
	if r, ok := u.record.AwaitedAt(a); ok {
		switch {
		case r.LateBound():
			return "reserved for " + r.Pod.Namespace + "/" + r.Pod.Name
		case r.For != (allocator.Identity{}):
			return "reserved for " + named(r.For)
		}
		return "reserved for a pod of namespace " + r.Pod.Namespace
	}
	if u.record.State(a) == allocator.StateHeld {
		return u.hold(a)
	}
	return "its pod was not seen to end"
}

// hold says since when it is unknown whether an address is still used.
func (u usage) hold(a netip.Addr) string {
	h, _ := u.record.HoldAt(a)
	node := "an unknown node"
	if h.Node != "" {
		node = "node " + h.Node
	}
	return fmt.Sprintf("held on %s since %s", node, h.Since.UTC().Format(time.RFC3339))
}

func named(i allocator.Identity) string {
	return fmt.Sprintf("%s/%s of %s %s", i.Namespace, i.Pod, i.Kind, i.Name)
}

// text names the first of the addresses, with their users.
func (u usage) text(used []netip.Addr) string {
	texts := make([]string, 0, min(len(used), maxNamed))
	for _, a := range used[:min(len(used), maxNamed)] {
		texts = append(texts, fmt.Sprintf("%s (%s)", a, u.user(a)))
	}
	if more := len(used) - len(texts); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts, ", "), more)
	}
	return strings.Join(texts, ", ")
}

// validateInUse refuses a spec that takes out an address in use.
func validateInUse(c *poolChange) field.ErrorList {
	if c.before == nil || !c.unreadable && c.was.addresses.Minus(c.now.addresses).Size() == 0 && c.was.usable.Minus(c.now.usable).Size() == 0 {
		return nil
	}
	u, err := usageOf(c.before, c.options.Users)
	if err != nil {
		return field.ErrorList{field.InternalError(c.path.Child("ips"), fmt.Errorf("reading who uses the addresses that are taken out: %w", err))}
	}
	used := u.addresses(func(a netip.Addr) bool {
		return (c.unreadable || c.was.keeps(a)) && !c.now.keeps(a)
	})
	return takenOut(used, u, c.now, c.path)
}

// takenOut reports it at the field that takes the addresses out: the gateway, excludeIPs, a route,
// or ips for the rest.
func takenOut(used []netip.Addr, u usage, now poolSpec, path *field.Path) field.ErrorList {
	excluded, _ := allocator.NewSpace(now.excludes, nil) // parsePool has built a space of them already
	var byGateway, byExclude, byRoute, byIPs []netip.Addr
	for _, a := range used {
		switch {
		case a == now.gateway:
			byGateway = append(byGateway, a)
		case excluded.Contains(a):
			byExclude = append(byExclude, a)
		case slices.Contains(now.hops, a):
			byRoute = append(byRoute, a)
		default:
			byIPs = append(byIPs, a)
		}
	}
	var errs field.ErrorList
	for _, f := range [...]struct {
		name string
		used []netip.Addr
	}{{"ips", byIPs}, {"excludeIPs", byExclude}, {"gateway", byGateway}, {"routes", byRoute}} {
		if len(f.used) > 0 {
			errs = append(errs, field.Forbidden(path.Child(f.name), "takes out addresses in use: "+u.text(f.used)))
		}
	}
	return errs
}

// unassigned reports whether an address is kept for a stable identity, and no pod has it or is
// being admitted with it.
func (u usage) unassigned(a netip.Addr) bool {
	r, ok := u.record.RetainedAt(a)
	return ok && r.Unassigned() && len(u.pods[a]) == 0
}

// validateDelete refuses to delete a pool in use. Where its record cannot be read, only live pods
// count: the finalizer keeps the pool, and a user must be able to request its deletion. Addresses
// kept for identities belong to no pod, and are freed after grace.
func validateDelete(pool *crdv1.SpiderIPPool, users Users, grace time.Duration) error {
	u, _ := usageOf(pool, users)
	used := u.addresses(func(a netip.Addr) bool { return !u.unassigned(a) })
	kept := u.addresses(u.unassigned)
	var why []string
	if len(used) > 0 {
		why = append(why, fmt.Sprintf("%s in use: %s", counted(len(used)), u.text(used)))
	}
	if len(kept) > 0 {
		why = append(why, fmt.Sprintf("%s kept for stable identities that have no pod: %s; this ends by itself %s (expiryGrace) after an owner is deleted or scaled down",
			counted(len(kept)), u.text(kept), grace))
	}
	if len(why) == 0 {
		return nil
	}
	return statusError(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("deleting pool %q: %s", pool.Name, strings.Join(why, "; ")))
}

// counted returns "1 address is" or "2 addresses are".
func counted(n int) string {
	if n == 1 {
		return "1 address is"
	}
	return fmt.Sprintf("%d addresses are", n)
}
