package admission

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// annotationsOf returns the annotations of a pod; the token, which is random, is replaced.
func annotationsOf(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if token, ok := p.Annotations[crdv1.AnnotationReservation]; ok && len(token) == 16 {
		p.Annotations[crdv1.AnnotationReservation] = "TOKEN"
	}
	return p.Annotations
}

func TestPodIsGivenItsAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(
		pool("a", "10.1.0.0/16", func(p *crdv1.SpiderIPPool) {
			p.Spec.Gateway, p.Spec.Vlan = new("10.1.0.1"), new(int64(7))
			p.Spec.Routes = []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.1.0.2"}}
		}),
		pool("z", "fd00::/64", func(p *crdv1.SpiderIPPool) {
			p.Spec.Vlan = new(int64(7))
			p.Spec.Routes = []crdv1.Route{{Dst: "fd09::/64", Gw: "fd00::2"}}
		}),
	)
	request := create(t, pod4(annotated(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`), annotated("mine", "stays")))
	got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
	want := map[string]string{
		"mine":                      "stays",
		crdv1.AnnotationIPPool:      `{"ipv4":["a"],"ipv6":["z"]}`,
		crdv1.AnnotationReservation: "TOKEN",
		crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"a","ipv6pool":"z","ipv4":"10.1.0.7/16","ipv6":"fd00::7/64","vlan":7,` +
			`"ipv4gateway":"10.1.0.1","routes":[{"dst":"10.9.0.0/16","gw":"10.1.0.2"},{"dst":"fd09::/64","gw":"fd00::2"}]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if claims, errs := crdv1.ClaimsOf(got); len(claims) != 2 || len(errs) > 0 {
		t.Errorf("the annotation reads as %v, %v", claims, errs)
	}
	if diff := cmp.Diff([][]string{{"a"}, {"z"}}, poolsOf(w.reserver.slots)); diff != "" || w.reserver.last.Pod.Namespace != "team-a" {
		t.Errorf("asked for %s in namespace %q", diff, w.reserver.last.Pod.Namespace)
	}
	if len(w.reserver.given) > 0 || w.dryRun.reserved() > 0 || len(w.live.reads) > 0 {
		t.Errorf("given back %v, dry run %d, read from the API server %v", w.reserver.given, w.dryRun.reserved(), w.live.reads)
	}
}

func TestEachAdmissionHasItsOwnToken(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	hook := w.webhook(t)
	for range 3 {
		request := create(t, pod4())
		patched(t, request, hook.Handle(t.Context(), request))
	}
	if n := w.reserver.reserved(); n != 3 {
		t.Errorf("%d tokens for 3 admissions of one request", n)
	}
}

func forged(p *corev1.Pod) {
	p.Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] = `{"interface":"eth0"}`
	p.Annotations[crdv1.AnnotationAssignedPrefix+"net9"] = "x"
	p.Annotations[crdv1.AnnotationReservation] = "aaaaaaaaaaaaaaaa"
}

func TestForgedAnnotationsAreStrippedAlsoFromPodsLeftAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod   func(*corev1.Pod)
		world func(*world)
		want  map[string]string
	}{
		"a pod on the host's network": {
			pod:  func(p *corev1.Pod) { p.Spec.HostNetwork = true },
			want: map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`},
		},
		"the mirror of a static pod": {
			pod:  annotated(corev1.MirrorPodAnnotationKey, "x"),
			want: map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`, corev1.MirrorPodAnnotationKey: "x"},
		},
		"a pod in a namespace that is left alone": {
			world: func(w *world) { w.config.IgnoredNamespaces, _ = labels.Parse("team=a") },
			want:  map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`},
		},
		"a pod that no rule applies to, outside the default network": {
			pod:   func(p *corev1.Pod) { delete(p.Annotations, crdv1.AnnotationIPPool) },
			world: func(w *world) { w.config.DefaultNetwork = false },
		},
		"a pod that is given an address": {
			world: func(w *world) { w.pools(pool("a", "10.1.0.0/16")) },
			want: map[string]string{
				crdv1.AnnotationIPPool: `{"ipv4":["a"]}`, crdv1.AnnotationReservation: "TOKEN",
				crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"a","ipv6pool":"","ipv4":"10.1.0.7/16","ipv6":"","vlan":0}`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if test.world != nil {
				test.world(w)
			}
			p := pod4(forged)
			if test.pod != nil {
				test.pod(p)
			}
			request := create(t, p)
			got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if _, assigned := test.want[crdv1.AnnotationReservation]; !assigned && w.reserver.reserved() > 0 {
				t.Error("an address was reserved")
			}
		})
	}
}

func TestStoredPodsKeepWhatTheyCarry(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*admissionv1.AdmissionRequest){
		"at update":        func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"at a subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "binding" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld().pools(pool("a", "10.1.0.0/16"))
			response := w.webhook(t).Handle(t.Context(), create(t, pod4(forged), change))
			if !response.Allowed || len(response.Patches) > 0 || w.reserver.reserved() > 0 {
				t.Errorf("answered %+v", response)
			}
		})
	}
}

func dry(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }

func TestDryRunReachesTheReserverThatCannotWrite(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	request := create(t, pod4(), dry)
	got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
	if got[crdv1.AnnotationReservation] != "TOKEN" || w.reserver.reserved() != 0 || w.dryRun.reserved() != 1 {
		t.Errorf("annotations %v, reserved %d, in a dry run %d", got, w.reserver.reserved(), w.dryRun.reserved())
	}
}

func TestFieldsThatTheTypesDoNotKnowStay(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	request := create(t, nil, func(r *admissionv1.AdmissionRequest) {
		r.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","futureMeta":1,
			"annotations":{"ipam.spidernet.io/ippool":"{\"ipv4\":[\"a\"]}","ipam.spidernet.io/assigned-eth0":"forged"}},
			"spec":{"futureSpec":{"x":[1,2]},"containers":[{"name":"c","image":"i","futureField":"y","env":[]}]},"status":{}}`)
	})
	after := patched(t, request, w.webhook(t).Handle(t.Context(), request))
	var got, want map[string]any
	if err := json.Unmarshal(after, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(request.Object.Raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, p := range []map[string]any{got, want} {
		delete(p["metadata"].(map[string]any), "annotations")
	}
	// Our types write known fields even if empty: that is no change.
	got["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["resources"] = nil
	want["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["resources"] = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheHistoryOfAnAddressBeginsInTheLog(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*admissionv1.AdmissionRequest)
		want   []string
	}{
		"a reservation": {func(*admissionv1.AdmissionRequest) {}, []string{
			`{"logger":"","level":0,"msg":"address reserved","pod":"team-a/web-*","pool":"a","address":"10.1.0.7","uid":"","node":"","token":"TOKEN"}`,
			`{"logger":"","level":0,"msg":"address reserved","pod":"team-a/web-*","pool":"z","address":"fd00::7","uid":"","node":"","token":"TOKEN"}`,
		}},
		"a dry run reserves nothing": {dry, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld().pools(pool("a", "10.1.0.0/16"), pool("z", "fd00::/64"))
			var lines []string
			w.logger = funcr.NewJSON(func(line string) {
				lines = append(lines, strings.ReplaceAll(line, string(w.reserver.last.Token), "TOKEN"))
			}, funcr.Options{})
			request := create(t, pod4(annotated(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`)), test.change)
			patched(t, request, w.webhook(t).Handle(t.Context(), request))
			if diff := cmp.Diff(test.want, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesOfPodsBeforeTheyAreGenerated(t *testing.T) {
	t.Parallel()
	if got := nameOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}}); got != "web-*" {
		t.Errorf("got %q", got)
	}
	if got := nameOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Name: "web-0"}}); got != "web-0" {
		t.Errorf("got %q", got)
	}
}
