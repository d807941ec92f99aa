package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/install"
	"spidernet.io/spiderpool/e2e/kruise"
)

//go:embed other-choices.yaml
var otherChoicesManifest []byte

// OtherChoices proves what the configuration can choose instead of its defaults: a full pool
// refuses pods at once, and says why where their controllers look; and pods of a kind that the
// configuration names keep their addresses, both families, from one pod of a name to the next; and
// what OpenKruise's can: that its StatefulSet begins with ordinals.start. It needs a control plane
// so configured.
var OtherChoices = behaviours.Behaviour{ID: "other-choices", Manifest: otherChoicesManifest, Test: otherChoices}

// OtherChoicesMade are those choices, beside what all behaviours have.
var OtherChoicesMade = behaviours.Choices{
	Config: install.Values{
		"exhaustion": "reject",
		"stableIdentityKinds": []install.Values{
			{"group": kruise.DatabaseGroupVersion.Group, "kind": "Database"},
		},
	},
	Gates: kruise.Gates{StartOrdinal: true},
}

func otherChoices(t *testing.T, e *behaviours.Env) {
	t.Run("a full pool refuses", func(t *testing.T) { fullPoolRefuses(t, e) })
	t.Run("a kind that is named keeps its addresses", func(t *testing.T) { namedKindKeeps(t, e) })
	t.Run("OpenKruise honours ordinals.start", func(t *testing.T) { startIsHonoured(t, e) })
}

func fullPoolRefuses(t *testing.T, e *behaviours.Env) {
	annotations := behaviours.FromPools([]string{"other-choices-single"}, nil)
	first := behaviours.NewPod("other-choices", "first", annotations)
	e.Create(t, first)
	const why = `pools chosen by annotation ipam.spidernet.io/ippool: reserving from pool "other-choices-single": its only address is taken`
	if got := e.Refused(t, behaviours.NewPod("other-choices", "second", annotations)); !strings.Contains(got, why) {
		t.Errorf("the answer is\n  %s\nwant in it\n  %s", got, why)
	}
	template := behaviours.NewPod("other-choices", "", annotations)
	template.Labels = map[string]string{"app": "refused"}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "other-choices", Name: "refused"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels, Annotations: annotations}, Spec: template.Spec},
		},
	}
	if err := e.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error { return toldOf(ctx, e, set.Name, why) })
	if err := e.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		pods, err := e.Pods(ctx, "other-choices")
		if err != nil {
			return err
		}
		if n := len(behaviours.Addresses(pods)); n != 1 || len(pods) != 1 || !strings.HasPrefix(pods[0].Name, "refused-") {
			return fmt.Errorf("%d pods carry %d addresses, want one pod of the ReplicaSet with one", len(pods), n)
		}
		return nil
	})
	if err := e.Client.Delete(t.Context(), set, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	e.AwaitTaken(t, "other-choices-single", 0)
}

// toldOf returns an error unless an event of an object says why.
func toldOf(ctx context.Context, e *behaviours.Env, name, why string) error {
	var all corev1.EventList
	if err := e.Client.List(ctx, &all, client.InNamespace("other-choices")); err != nil {
		return err
	}
	for _, event := range all.Items {
		if event.InvolvedObject.Name == name && strings.Contains(event.Message, why) {
			return nil
		}
	}
	return fmt.Errorf("none of %d events is on %s and says %s", len(all.Items), name, why)
}

func namedKindKeeps(t *testing.T, e *behaviours.Env) {
	var db kruise.Database
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: "other-choices", Name: "db"}, &db); err != nil {
		t.Fatal(err)
	}
	pools := behaviours.FromPools([]string{"other-choices-v4"}, []string{"other-choices-v6"})
	primary := func() *corev1.Pod {
		pod := behaviours.NewPod("other-choices", "db-primary", pools)
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&db, kruise.DatabaseGroupVersion.WithKind("Database"))}
		return pod
	}
	addresses := func(a crdv1.Assigned) string { return a.IPv4 + " " + a.IPv6 }
	pod := primary()
	before := addresses(e.Create(t, pod))
	if err := e.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // they would take the lowest
		e.Create(t, behaviours.NewPod("other-choices", fmt.Sprintf("stranger-%d", i), pools))
	}
	if after := addresses(e.Create(t, primary())); after != before {
		t.Errorf("the next pod of the name has %s, and the first had %s", after, before)
	}
	if err := e.Client.Delete(t.Context(), &db); err != nil {
		t.Fatal(err)
	}
	e.DeleteAll(t, "other-choices")
	for _, pool := range []string{"other-choices-v4", "other-choices-v6"} {
		e.AwaitTaken(t, pool, 0)
	}
}

func startIsHonoured(t *testing.T, e *behaviours.Env) {
	s := &stateful{t: t, e: e, home: home{"other-choices", "other-choices-v4", "other-choices-v6"}, kind: kruiseSet, name: "kruise-numbered"}
	s.startHonoured()
	for _, pool := range []string{s.four, s.six} {
		e.AwaitTaken(t, pool, 0)
	}
}
