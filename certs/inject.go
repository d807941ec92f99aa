package certs

import (
	"bytes"
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patcher is what Inject needs of a client.Client.
type Patcher interface {
	Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error
	Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.PatchOption) error
}

var _ Patcher = client.Client(nil)

// Inject puts the CA into every webhook of the two configurations and writes only where it differs.
// An empty name skips that configuration; one that does not exist is an error, which is NotFound.
func Inject(ctx context.Context, c Patcher, ca []byte, mutatingName, validatingName string) error {
	if mutatingName != "" {
		if err := inject(ctx, c, ca, mutatingName, mutating); err != nil {
			return fmt.Errorf("injecting CA into MutatingWebhookConfiguration %q: %w", mutatingName, err)
		}
	}
	if validatingName != "" {
		if err := inject(ctx, c, ca, validatingName, validating); err != nil {
			return fmt.Errorf("injecting CA into ValidatingWebhookConfiguration %q: %w", validatingName, err)
		}
	}
	return nil
}

// mutating and validating return an empty configuration and a function that returns the client
// configurations of its webhooks once it was read.
func mutating() (client.Object, func() []*admissionv1.WebhookClientConfig) {
	object := &admissionv1.MutatingWebhookConfiguration{}
	return object, func() (all []*admissionv1.WebhookClientConfig) {
		for i := range object.Webhooks {
			all = append(all, &object.Webhooks[i].ClientConfig)
		}
		return all
	}
}

func validating() (client.Object, func() []*admissionv1.WebhookClientConfig) {
	object := &admissionv1.ValidatingWebhookConfiguration{}
	return object, func() (all []*admissionv1.WebhookClientConfig) {
		for i := range object.Webhooks {
			all = append(all, &object.Webhooks[i].ClientConfig)
		}
		return all
	}
}

func inject(ctx context.Context, c Patcher, ca []byte, name string, empty func() (client.Object, func() []*admissionv1.WebhookClientConfig)) error {
	for attempt := 1; ; attempt++ {
		object, webhooks := empty()
		if err := c.Get(ctx, client.ObjectKey{Name: name}, object); err != nil {
			return err
		}
		before, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			return fmt.Errorf("copying a %T", object)
		}
		differs := false
		for _, w := range webhooks() {
			differs = differs || !bytes.Equal(w.CABundle, ca)
			w.CABundle = ca
		}
		if !differs {
			return nil
		}
		// The merge is strategic: it names each webhook and only its caBundle.
		err := c.Patch(ctx, object, client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) || attempt == attempts {
			return err
		}
	}
}
