package admission

import (
	"context"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// PoolDefaulter fills in what follows from other fields of a SpiderIPPool.
type PoolDefaulter struct{}

var _ admission.Defaulter[*crdv1.SpiderIPPool] = PoolDefaulter{}

// Default implements admission.Defaulter.
func (PoolDefaulter) Default(_ context.Context, pool *crdv1.SpiderIPPool) error {
	if pool.Spec.IPVersion != nil {
		return nil
	}
	if subnet, err := allocator.ParsePrefix(pool.Spec.Subnet); err == nil { // else validation says why not
		pool.Spec.IPVersion = new(versionOf(subnet.Addr()))
	}
	return nil
}

// PoolOptions is what a PoolValidator needs; every field is required.
type PoolOptions struct {
	Config config.Config
	Pools  PoolLister
	Users  Users
}

// PoolValidator refuses pools that break a rule.
type PoolValidator struct{ o PoolOptions }

var _ admission.Validator[*crdv1.SpiderIPPool] = (*PoolValidator)(nil)

// NewPoolValidator returns a PoolValidator.
func NewPoolValidator(o PoolOptions) *PoolValidator { return &PoolValidator{o} }

// ValidateCreate implements admission.Validator.
func (v *PoolValidator) ValidateCreate(_ context.Context, pool *crdv1.SpiderIPPool) (admission.Warnings, error) {
	return v.validate(nil, pool)
}

// ValidateUpdate implements admission.Validator. An update that does not change the spec passes
// whatever the spec says: a finalizer can always be removed and a label set, also on a pool that
// was admitted by another version of these rules.
func (v *PoolValidator) ValidateUpdate(ctx context.Context, before, pool *crdv1.SpiderIPPool) (admission.Warnings, error) {
	if ofSubresource(ctx) || sameSpec(before.Spec, pool.Spec) {
		return nil, nil
	}
	return v.validate(before, pool)
}

// validate runs the same rules for a pool that is created, where before is nil, and for one that is
// edited.
func (v *PoolValidator) validate(before, pool *crdv1.SpiderIPPool) (admission.Warnings, error) {
	c, errs := newPoolChange(before, pool, v.o)
	if len(errs) == 0 {
		errs = c.validate()
	}
	return c.warnings(), invalid("SpiderIPPool", pool.Name, errs)
}

// ValidateDelete implements admission.Validator.
func (v *PoolValidator) ValidateDelete(ctx context.Context, pool *crdv1.SpiderIPPool) (admission.Warnings, error) {
	if ofSubresource(ctx) {
		return nil, nil
	}
	return nil, validateDelete(pool, v.o.Users, v.o.Config.ExpiryGrace)
}

// sameSpec does not count the family that PoolDefaulter has just filled in as a change.
func sameSpec(before, now crdv1.IPPoolSpec) bool {
	if before.IPVersion == nil {
		before.IPVersion = now.IPVersion
	}
	return reflect.DeepEqual(before, now)
}

// ofSubresource: the status has one writer, which checks it by itself.
func ofSubresource(ctx context.Context) bool {
	request, err := admission.RequestFromContext(ctx)
	return err == nil && request.SubResource != ""
}

func invalid(kind, name string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(crdv1.GroupVersion.WithKind(kind).GroupKind(), name, errs)
}
