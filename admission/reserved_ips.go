package admission

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// ReservedIPDefaulter fills in the family of a SpiderReservedIP.
type ReservedIPDefaulter struct{}

var _ admission.Defaulter[*crdv1.SpiderReservedIP] = ReservedIPDefaulter{}

// Default implements admission.Defaulter.
func (ReservedIPDefaulter) Default(_ context.Context, r *crdv1.SpiderReservedIP) error {
	if r.Spec.IPVersion != nil || len(r.Spec.IPs) == 0 {
		return nil
	}
	if first, err := allocator.ParseRange(r.Spec.IPs[0]); err == nil { // else validation says why not
		r.Spec.IPVersion = new(versionOf(first.From()))
	}
	return nil
}

// ReservedIPValidator refuses reserved addresses that cannot be read.
type ReservedIPValidator struct{ config config.Config }

var _ admission.Validator[*crdv1.SpiderReservedIP] = (*ReservedIPValidator)(nil)

// NewReservedIPValidator returns a ReservedIPValidator.
func NewReservedIPValidator(c config.Config) *ReservedIPValidator { return &ReservedIPValidator{c} }

// ValidateCreate implements admission.Validator.
func (v *ReservedIPValidator) ValidateCreate(_ context.Context, r *crdv1.SpiderReservedIP) (admission.Warnings, error) {
	path := field.NewPath("spec")
	errs := validateReservedIPs(&r.Spec, path)
	if len(errs) == 0 {
		first, _ := allocator.ParseRange(r.Spec.IPs[0]) // validated above
		errs = validateFamily(v.config, first.From(), r.Spec.IPs[0], path.Child("ips").Index(0))
	}
	return nil, invalid("SpiderReservedIP", r.Name, errs)
}

// ValidateUpdate implements admission.Validator. As for pools, an update that does not change the
// spec passes.
func (v *ReservedIPValidator) ValidateUpdate(_ context.Context, before, r *crdv1.SpiderReservedIP) (admission.Warnings, error) {
	if reflect.DeepEqual(before.Spec, r.Spec) {
		return nil, nil
	}
	return nil, invalid("SpiderReservedIP", r.Name, validateReservedIPs(&r.Spec, field.NewPath("spec")))
}

// ValidateDelete implements admission.Validator. Addresses that are no longer reserved may be
// handed out: nothing to refuse.
func (v *ReservedIPValidator) ValidateDelete(context.Context, *crdv1.SpiderReservedIP) (admission.Warnings, error) {
	return nil, nil
}

func validateReservedIPs(spec *crdv1.ReservedIPSpec, path *field.Path) field.ErrorList {
	if len(spec.IPs) == 0 {
		return field.ErrorList{field.Required(path.Child("ips"), "name at least one address")}
	}
	var errs field.ErrorList
	var version int64 // of the first entry that can be read
	for i, entry := range spec.IPs {
		at := path.Child("ips").Index(i)
		r, err := allocator.ParseRange(entry)
		if err != nil {
			errs = append(errs, field.Invalid(at, entry, reason(err, entry)))
			continue
		}
		if version == 0 {
			version = versionOf(r.From())
		}
		if versionOf(r.From()) != version {
			errs = append(errs, field.Invalid(at, entry, fmt.Sprintf("IPv%d, while entries before it are IPv%d", versionOf(r.From()), version)))
		}
	}
	if v := spec.IPVersion; v != nil && version != 0 && *v != version {
		errs = append(errs, field.Invalid(path.Child("ipVersion"), *v, fmt.Sprintf("ips are IPv%d", version)))
	}
	return errs
}
