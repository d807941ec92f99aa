package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// graceMargin is what the grace of a reservation has on top of the longest admission: clocks
	// differ, and the pod must be seen.
	graceMargin = 10 * time.Second
	// longest is the limit for both durations: more than an hour is probably a wrong unit.
	longest = time.Hour
)

// config checks f and fills in defaults.
func (f *file) config() (Config, field.ErrorList) {
	c, d := Default(), Default()
	c.EnableIPv4 = or(f.EnableIPv4, d.EnableIPv4)
	c.EnableIPv6 = or(f.EnableIPv6, d.EnableIPv6)
	c.DefaultNetwork = or(f.DefaultNetwork, d.DefaultNetwork)
	c.ClusterDefaultIPv4IPPool = f.ClusterDefaultIPv4IPPool
	c.ClusterDefaultIPv6IPPool = f.ClusterDefaultIPv6IPPool
	c.EnableStatefulSet = or(f.EnableStatefulSet, d.EnableStatefulSet)

	errs := f.unsupported()
	if !c.EnableIPv4 && !c.EnableIPv6 {
		errs = append(errs, field.Invalid(field.NewPath("enableIPv6"), false, "enableIPv4 is false too, so no pod could be given an address"))
	}
	errs = append(errs, checkPools(field.NewPath("clusterDefaultIPv4IPPool"), c.ClusterDefaultIPv4IPPool, c.EnableIPv4, "enableIPv4")...)
	errs = append(errs, checkPools(field.NewPath("clusterDefaultIPv6IPPool"), c.ClusterDefaultIPv6IPPool, c.EnableIPv6, "enableIPv6")...)

	var more field.ErrorList
	c.Exhaustion, more = exhaustion(field.NewPath("exhaustion"), f.Exhaustion, d.Exhaustion)
	errs = append(errs, more...)
	c.StableIdentityKinds, more = kinds(field.NewPath("stableIdentityKinds"), f.StableIdentityKinds)
	errs = append(errs, more...)
	c.ReservationCap, more = limits(field.NewPath("reservationCap"), f.ReservationCap)
	errs = append(errs, more...)
	c.IgnoredNamespaces, more = selector(field.NewPath("ignoredNamespaces"), f.IgnoredNamespaces)
	errs = append(errs, more...)
	c.APIServerRequestTimeout, more = duration(field.NewPath("apiServerRequestTimeout"), f.APIServerRequestTimeout, d.APIServerRequestTimeout)
	errs = append(errs, more...)
	c.ExpiryGrace, more = duration(field.NewPath("expiryGrace"), f.ExpiryGrace, d.ExpiryGrace)
	errs = append(errs, more...)
	if least := c.APIServerRequestTimeout + graceMargin; c.ExpiryGrace < least {
		errs = append(errs, field.Invalid(field.NewPath("expiryGrace"), c.ExpiryGrace.String(),
			"must be at least "+least.String()+", which is apiServerRequestTimeout and 10s: an admission that still lasts would lose its address"))
	}
	return c, errs
}

// unsupported refuses what would have no effect.
func (f *file) unsupported() field.ErrorList {
	var errs field.ErrorList
	refuse := func(refused bool, key, detail string) {
		if refused {
			errs = append(errs, field.Forbidden(field.NewPath(key), "not supported yet; "+detail))
		}
	}
	refuse(or(f.EnableSpiderSubnet, false), "enableSpiderSubnet", "leave it out or set it to false")
	refuse(len(f.ClusterDefaultIPv4Subnet) > 0, "clusterDefaultIPv4Subnet", "leave it out or empty")
	refuse(len(f.ClusterDefaultIPv6Subnet) > 0, "clusterDefaultIPv6Subnet", "leave it out or empty")
	refuse(or(f.ClusterSubnetDefaultFlexibleIPNumber, 1) != 1, "clusterSubnetDefaultFlexibleIPNumber", "leave it out or set it to 1")
	return errs
}

func checkPools(path *field.Path, pools []string, enabled bool, family string) field.ErrorList {
	var errs field.ErrorList
	if len(pools) > 0 && !enabled {
		errs = append(errs, field.Forbidden(path, family+" is false"))
	}
	for i, pool := range pools {
		if problems := validation.IsDNS1123Subdomain(pool); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Index(i), pool, "not a pool name: "+strings.Join(problems, "; ")))
		}
		if slices.Contains(pools[:i], pool) {
			errs = append(errs, field.Duplicate(path.Index(i), pool))
		}
	}
	return errs
}

func exhaustion(path *field.Path, s *string, unset Exhaustion) (Exhaustion, field.ErrorList) {
	switch e := Exhaustion(or(s, string(unset))); e {
	case ExhaustionWait, ExhaustionReject:
		return e, nil
	default:
		return unset, field.ErrorList{field.NotSupported(path, e, []Exhaustion{ExhaustionWait, ExhaustionReject})}
	}
}

// kinds checks kinds as the API server does. Their names are written into the records of pools, and
// a malformed one could not be read back.
func kinds(path *field.Path, list []groupKind) ([]schema.GroupKind, field.ErrorList) {
	var errs field.ErrorList
	var out []schema.GroupKind
	for i, entry := range list {
		gk := schema.GroupKind{Group: or(entry.Group, ""), Kind: or(entry.Kind, "")}
		if gk.Kind == "" {
			errs = append(errs, field.Required(path.Index(i).Child("kind"), "such as StatefulSet"))
		} else if problems := validation.IsDNS1035Label(strings.ToLower(gk.Kind)); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Index(i).Child("kind"), gk.Kind, "not a kind: "+strings.Join(problems, "; ")))
		}
		if gk.Group != "" {
			if problems := validation.IsDNS1123Subdomain(gk.Group); len(problems) > 0 {
				errs = append(errs, field.Invalid(path.Index(i).Child("group"), gk.Group, "not an API group, which has no version: "+strings.Join(problems, "; ")))
			}
		}
		if slices.Contains(out, gk) {
			errs = append(errs, field.Duplicate(path.Index(i), gk.String()))
		}
		out = append(out, gk)
	}
	return out, errs
}

func limits(path *field.Path, c *reservationCap) (ReservationCap, field.ErrorList) {
	if c == nil {
		return ReservationCap{}, nil
	}
	var errs field.ErrorList
	for _, limit := range [...]struct {
		key   string
		value *int
	}{{"namespace", c.Namespace}, {"owner", c.Owner}} {
		if limit.value != nil && *limit.value < 1 {
			errs = append(errs, field.Invalid(path.Child(limit.key), *limit.value, "must be at least 1; leave it out to have it follow the size of the pool"))
		}
	}
	out := ReservationCap{Namespace: or(c.Namespace, 0), Owner: or(c.Owner, 0)}
	if c.Namespace != nil && out.Owner > out.Namespace {
		errs = append(errs, field.Invalid(path.Child("owner"), out.Owner, fmt.Sprintf("is more than namespace (%d): the controller's pods count among those of their namespace", out.Namespace)))
	}
	return out, errs
}

func selector(path *field.Path, s *metav1.LabelSelector) (labels.Selector, field.ErrorList) {
	if s == nil {
		return labels.Nothing(), nil
	}
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return labels.Nothing(), field.ErrorList{field.Required(path, "an empty selector would leave every namespace alone; leave the key out to leave none alone")}
	}
	if errs := metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, path); len(errs) > 0 {
		return labels.Nothing(), errs
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing(), field.ErrorList{field.Invalid(path, metav1.FormatLabelSelector(s), err.Error())}
	}
	return parsed, nil
}

func duration(path *field.Path, s *string, unset time.Duration) (time.Duration, field.ErrorList) {
	if s == nil {
		return unset, nil
	}
	d, err := time.ParseDuration(*s)
	switch {
	case err != nil:
		return unset, field.ErrorList{field.Invalid(path, *s, `want a duration such as "90s"`)}
	case d < time.Second || d > longest:
		return unset, field.ErrorList{field.Invalid(path, *s, "must be from 1s to "+longest.String())}
	}
	return d, nil
}

func or[T any](p *T, unset T) T {
	if p == nil {
		return unset
	}
	return *p
}
