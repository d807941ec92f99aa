package certs

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func installed(mutatingCA, validatingCA string) *api {
	c := newAPI()
	m := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	for _, name := range []string{"pods", "pools"} {
		m.Webhooks = append(m.Webhooks, admissionv1.MutatingWebhook{
			Name: name, ClientConfig: admissionv1.WebhookClientConfig{URL: new("https://x"), CABundle: []byte(mutatingCA)}, TimeoutSeconds: new(int32(5)),
		})
	}
	c.put(m)
	c.put(&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Webhooks: []admissionv1.ValidatingWebhook{
		{Name: "pools", ClientConfig: admissionv1.WebhookClientConfig{URL: new("https://x"), CABundle: []byte(validatingCA)}},
	}})
	return c
}

const (
	patchM = `application/strategic-merge-patch+json {"$setElementOrder/webhooks":[{"name":"pods"},{"name":"pools"}],"metadata":{"resourceVersion":"1"},` +
		`"webhooks":[{"clientConfig":{"caBundle":"bmV3"},"name":"pods"},{"clientConfig":{"caBundle":"bmV3"},"name":"pools"}]}`
	patchV = `application/strategic-merge-patch+json {"$setElementOrder/webhooks":[{"name":"pools"}],"metadata":{"resourceVersion":"2"},` +
		`"webhooks":[{"clientConfig":{"caBundle":"bmV3"},"name":"pools"}]}`
)

func TestInjectWritesTheBundleAndNothingElse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		m, v  string
		names [2]string
		want  []string
	}{
		"both are missing": {"", "old", [2]string{"m", "v"}, []string{patchM, patchV}},
		"one is set":       {"new", "", [2]string{"m", "v"}, []string{patchV}},
		"both are set":     {"new", "new", [2]string{"m", "v"}, nil},
		"one is not named": {"", "", [2]string{"m", ""}, []string{patchM}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := installed(test.m, test.v)
			if err := Inject(t.Context(), c, []byte("new"), test.names[0], test.names[1]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.writes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInjectKeepsWhatOthersWrite(t *testing.T) {
	t.Parallel()
	c := installed("", "new")
	rounds := 0
	c.before = func(string) {
		if rounds++; rounds > 2 {
			return
		}
		var m admissionv1.MutatingWebhookConfiguration
		if err := c.Get(t.Context(), client.ObjectKey{Name: "m"}, &m); err != nil {
			t.Error(err)
		}
		m.Labels = map[string]string{"mine": "stays"}
		c.put(&m)
	}
	if err := Inject(t.Context(), c, []byte("new"), "m", "v"); err != nil {
		t.Fatal(err)
	}
	var m admissionv1.MutatingWebhookConfiguration
	if err := c.Get(t.Context(), client.ObjectKey{Name: "m"}, &m); err != nil {
		t.Fatal(err)
	}
	if m.Labels["mine"] != "stays" || string(m.Webhooks[1].ClientConfig.CABundle) != "new" || rounds != 3 {
		t.Errorf("after %d rounds %+v", rounds, m)
	}
}

func TestInjectFails(t *testing.T) {
	t.Parallel()
	if err := Inject(t.Context(), installed("", ""), []byte("new"), "m", "gone"); !apierrors.IsNotFound(errors.Unwrap(err)) {
		t.Errorf("error %v", err)
	}
	c := installed("", "")
	rounds := 0
	c.before = func(string) {
		rounds++
		c.put(&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Webhooks: []admissionv1.MutatingWebhook{{Name: "x"}}})
	}
	if err := Inject(t.Context(), c, []byte("new"), "m", ""); !apierrors.IsConflict(errors.Unwrap(err)) || rounds != attempts {
		t.Errorf("after %d rounds: %v", rounds, err)
	}
}
