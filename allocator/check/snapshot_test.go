package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// fixed is a reader of objects that do not change, such as a dump of a cluster.
type fixed struct {
	Snapshot
	revision string
	owners   map[schema.GroupKind][]unstructured.Unstructured // kind -> all its objects
	asked    map[string]string                                // list -> the revision it was asked for at
}

func (f *fixed) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("unexpected read of a single object")
}

func (f *fixed) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	asked := client.ListOptions{}
	asked.ApplyOptions(opts)
	if raw := asked.Raw; raw != nil {
		f.asked[fmt.Sprintf("%T", list)] = string(raw.ResourceVersionMatch) + " " + raw.ResourceVersion
	}
	list.SetResourceVersion(f.revision)
	switch l := list.(type) {
	case *corev1.PodList:
		l.Items = f.Pods
	case *corev1.NodeList:
		l.Items = f.Nodes
	case *crdv1.SpiderIPPoolList:
		l.Items = f.Pools
	case *crdv1.SpiderEndpointList:
		l.Items = f.Endpoints
	case *unstructured.UnstructuredList:
		kind := l.GroupVersionKind()
		items, ok := f.owners[schema.GroupKind{Group: kind.Group, Kind: strings.TrimSuffix(kind.Kind, "List")}]
		if !ok {
			return &apimeta.NoKindMatchError{GroupKind: kind.GroupKind()}
		}
		l.Items = items
	default:
		return fmt.Errorf("unexpected list %T", list)
	}
	return nil
}

// set is an owner with two replicas.
func set(name string) unstructured.Unstructured {
	o := unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(2)}}}
	o.SetNamespace("shop")
	o.SetName(name)
	return o
}

// reading is a reader with pools that retain addresses for owners of three kinds.
func reading() *fixed {
	s := good()
	s.Pools[1].Status.Retained = []string{
		"shop/StatefulSet.apps.kruise.io/db -: -0=10.0.1.1",
		"shop/GameServerSet.game.kruise.io/db -: -7=10.0.1.2",
	}
	return &fixed{Snapshot: s, asked: map[string]string{}, owners: map[schema.GroupKind][]unstructured.Unstructured{
		statefulSet: {set("db"), set("another")},
	}}
}

func TestAnyReaderIsRead(t *testing.T) {
	t.Parallel()
	f := reading()
	s, err := Read(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of apps.kruise.io exists, and the version of game.kruise.io is unknown.
	want := Owners{
		db: {Below: 2}, {Namespace: "shop", Group: "apps", Kind: "StatefulSet", Name: "another"}: {Below: 2},
		{Namespace: "shop", Group: "game.kruise.io", Kind: "GameServerSet", Name: "db"}: {All: true},
	}
	if diff := cmp.Diff(want, s.Owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if len(s.Pods) != len(f.Pods) || len(s.Pools) != 2 || len(s.Endpoints) != 1 || len(s.Nodes) != 1 {
		t.Errorf("%d pods, %d pools, %d endpoints, %d nodes", len(s.Pods), len(s.Pools), len(s.Endpoints), len(s.Nodes))
	}
	if len(f.asked) != 0 {
		t.Errorf("asked for revisions %v, and the reader has none", f.asked)
	}
}

func TestAllIsReadAtTheRevisionOfThePods(t *testing.T) {
	t.Parallel()
	f := reading()
	f.revision = "77"
	if _, err := Read(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"*v1.NodeList": "Exact 77", "*v1.SpiderIPPoolList": "Exact 77", "*v1.SpiderEndpointList": "Exact 77",
		"*unstructured.UnstructuredList": "Exact 77",
	}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// mapped is a reader that knows the versions of kinds.
type mapped struct {
	*fixed
	mapper apimeta.RESTMapper
}

func (m mapped) RESTMapper() apimeta.RESTMapper { return m.mapper }

func TestAReaderWithAMapperKnowsEveryKind(t *testing.T) {
	t.Parallel()
	f := reading()
	game := schema.GroupVersionKind{Group: "game.kruise.io", Version: "v1alpha1", Kind: "GameServerSet"}
	f.owners[game.GroupKind()] = []unstructured.Unstructured{set("db")}
	mapper := apimeta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}, game.GroupVersion()})
	mapper.Add(statefulSet.WithVersion("v1"), apimeta.RESTScopeNamespace)
	mapper.Add(game, apimeta.RESTScopeNamespace)
	found, err := Check(t.Context(), mapped{f, mapper})
	if err != nil {
		t.Fatal(err)
	}
	want := `I3: pool "blue": 10.0.0.6 is retained for pod shop/db-2, and StatefulSet db has ordinals from 0 to 1 only (may pass)
I3: pool "green": 10.0.1.1 is retained for pod shop/db-0, and StatefulSet db does not exist (may pass)
I3: pool "green": 10.0.1.2 is retained for pod shop/db-7, and GameServerSet db has ordinals from 0 to 1 only (may pass)
counters: pool "green": allocatedIPCount is 0, recorded are 2`
	if diff := cmp.Diff(want, Format(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPartIsWhatIsOwnedAndWhatIsTakenFromIt(t *testing.T) {
	t.Parallel()
	s := good()
	s.Pods[finished].Namespace = "elsewhere" // with an address of an owned pool
	s.Pods[bare].Namespace = "elsewhere"     // without addresses
	s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "x"}})
	foreign := pod("foreign", "") // runs with an address of an owned pod
	foreign.Namespace, foreign.Status.PodIPs = "elsewhere", []corev1.PodIP{{IP: "10.0.0.2"}}
	s.Pods = append(s.Pods, foreign)
	part := s.Of(func(name string) bool { return name == "shop" || name == "blue" })
	if len(part.Pods) != 7 || len(part.Pools) != 1 || len(part.Endpoints) != 1 {
		t.Errorf("%d pods, %d pools, %d endpoints; want 7, 1, 1", len(part.Pods), len(part.Pools), len(part.Endpoints))
	}
	if len(part.Nodes) != 1 || len(part.Owners) != 1 {
		t.Errorf("%d nodes, %d owners; want all", len(part.Nodes), len(part.Owners))
	}
}
