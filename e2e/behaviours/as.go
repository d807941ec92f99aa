package behaviours

import (
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/install"
)

// As returns a client that acts as another user.
func (e *Env) As(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(e.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := client.New(config, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// AsServiceAccount returns a client that acts as a service account.
func (e *Env) AsServiceAccount(t *testing.T, namespace, name string) client.Client {
	t.Helper()
	return e.As(t, "system:serviceaccount:"+namespace+":"+name, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
}

// AsController returns a client that acts as the product's controller.
func (e *Env) AsController(t *testing.T) client.Client {
	t.Helper()
	return e.AsServiceAccount(t, install.Namespace, "spiderpool-controller")
}
