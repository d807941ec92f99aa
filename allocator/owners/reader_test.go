package owners

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answers is an API server that always gives the same answer, and counts requests.
type answers struct {
	err   error
	reads int
}

func (a *answers) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	a.reads++
	into.SetName(key.Name)
	into.SetNamespace(key.Namespace)
	return a.err
}

// maps is a Mapper with one version for every kind.
type maps struct{ err error }

func (m maps) RESTMapping(kind schema.GroupKind, _ ...string) (*meta.RESTMapping, error) {
	return &meta.RESTMapping{GroupVersionKind: kind.WithVersion("v1")}, m.err
}

// web is the owner that the tests read.
var web = Ref{Kind: builtIn, Namespace: "shop", Name: "web"}

func TestAnOwnerIsGoneOnlyWhereTheAPIServerSaysSo(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Group: "apps", Resource: "statefulsets"}
	noSuchVersion := apierrors.NewGenericServerResponse(404, "GET", resource, "web", "404 page not found", 0, true)
	for name, c := range map[string]struct {
		api    error
		mapper error
		there  bool
		err    string
	}{
		"it is there":                     {there: true},
		"it is not found":                 {api: apierrors.NewNotFound(resource, "web")},
		"its kind is not known":           {mapper: &meta.NoKindMatchError{GroupKind: builtIn}},
		"its kind cannot be looked up":    {mapper: errors.New("out of luck"), err: "reading owner shop/StatefulSet.apps/web: out of luck"},
		"it cannot be read":               {api: errors.New("out of luck"), err: "reading owner shop/StatefulSet.apps/web: out of luck"},
		"its version is not served now":   {api: noSuchVersion, err: "reading owner shop/StatefulSet.apps/web: "},
		"it may not be read, by our role": {api: apierrors.NewForbidden(resource, "web", nil), err: "reading owner shop/StatefulSet.apps/web: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner, err := NewReader(&answers{err: c.api}, maps{c.mapper}).Read(t.Context(), web)
			if (owner != nil) != c.there {
				t.Errorf("got %v, want one: %t", owner, c.there)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error is %v, want %q", err, c.err)
			}
			if c.there && (owner.GetName() != "web" || owner.GetAPIVersion() != "apps/v1" || owner.GetKind() != "StatefulSet") {
				t.Errorf("got %v", owner)
			}
		})
	}
}

func TestAnOwnerIsReadOnceEvenIfThatFails(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"it is there": nil, "it cannot be read": errors.New("out of luck")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &answers{err: err}
			reader := NewReader(api, maps{})
			other := web
			other.Name = "other"
			for _, ref := range []Ref{web, other, web, other} {
				owner, got := reader.Read(t.Context(), ref)
				if !errors.Is(got, err) || err == nil && owner.GetName() != ref.Name {
					t.Errorf("%s: got %v, %v", ref, owner, got)
				}
			}
			if api.reads != 2 {
				t.Errorf("%d reads of two owners", api.reads)
			}
		})
	}
}

// What the leader passes has these types.
var (
	_ API    = client.Reader(nil)
	_ Mapper = meta.RESTMapper(nil)
)
