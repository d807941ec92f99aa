package install

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"spidernet.io/spiderpool/allocator"
)

func renderFor(t *testing.T, version string, webhook Values) []*unstructured.Unstructured {
	t.Helper()
	values := byURL()
	if webhook != nil { // null would remove the defaults
		values["webhook"] = webhook
	}
	objects, err := Render(t.Context(), version, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// field returns the value in an object at a path, or nil.
func field(t *testing.T, o *unstructured.Unstructured, path ...string) any {
	t.Helper()
	value, _, err := unstructured.NestedFieldCopy(o.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPodsPassWithoutTheControllerWhereThePolicyStrips(t *testing.T) {
	t.Parallel()
	needed := []any{"kube-system", "cert-manager", Namespace}
	tests := map[string]struct {
		version    string
		webhook    Values
		wantPolicy string
		wantSpared []any
		wantStrips bool
	}{
		"the oldest Kubernetes":             {"v1.30.0", nil, "Fail", needed, false},
		"the last without it":               {"v1.35.9", nil, "Fail", needed, false},
		"the first with it":                 {"v1.36.0", nil, "Ignore", nil, true},
		"a vendor's":                        {"v1.36.0-gke.100", nil, "Ignore", nil, true},
		"the newest":                        {testVersion, nil, "Ignore", nil, true},
		"failing closed by choice":          {testVersion, Values{"failurePolicy": "Fail"}, "Fail", needed, true},
		"failing open, a namespace spared":  {testVersion, Values{"sparedNamespaces": []string{"infra"}}, "Ignore", []any{"infra"}, true},
		"failing closed, some spared twice": {"v1.35.0", Values{"sparedNamespaces": []string{"infra", "kube-system"}}, "Fail", append(slices.Clone(needed), "infra"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := renderFor(t, tc.version, tc.webhook)
			checkPodWebhook(t, objects, tc.wantPolicy, tc.wantSpared)
			strips := slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "MutatingAdmissionPolicy" })
			if strips != tc.wantStrips {
				t.Errorf("a policy strips: %v, want %v", strips, tc.wantStrips)
			}
			atCreate := find(t, objects, "ValidatingAdmissionPolicy", "spiderpool-claims-at-create")
			if refuses := field(t, atCreate, "spec", "variables") != nil; refuses == tc.wantStrips {
				t.Errorf("forged pods are refused in spared namespaces: %v, and stripped: %v; want one of them", refuses, tc.wantStrips)
			}
		})
	}
}

// checkPodWebhook checks the pods' webhook; all others fail closed and spare no namespace.
func checkPodWebhook(t *testing.T, objects []*unstructured.Unstructured, wantPolicy string, wantSpared []any) {
	t.Helper()
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		hooks, _ := field(t, find(t, objects, kind, "spiderpool"), "webhooks").([]any)
		for _, h := range hooks {
			hook, ok := h.(map[string]any)
			if !ok {
				t.Fatalf("a webhook of %s is a %T", kind, h)
			}
			policy, selector := "Fail", any(nil)
			if hook["name"] == "pods.spiderpool.spidernet.io" {
				policy = wantPolicy
				if wantSpared != nil {
					selector = map[string]any{"matchExpressions": []any{map[string]any{
						"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": wantSpared,
					}}}
				}
			}
			want := map[string]any{"failurePolicy": policy, "namespaceSelector": selector}
			got := map[string]any{"failurePolicy": hook["failurePolicy"], "namespaceSelector": hook["namespaceSelector"]}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v of %s (-want +got):\n%s", hook["name"], kind, diff)
			}
		}
	}
}

func TestEveryPolicyIsBoundAndFailsClosed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1.35.0", testVersion} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			policies, bindings := map[string]bool{}, map[string]bool{} // kind and name -> is there
			for _, o := range renderFor(t, version, nil) {
				switch kind := o.GetKind(); kind {
				case "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy":
					policies[kind+" "+o.GetName()] = true
					if p := field(t, o, "spec", "failurePolicy"); p != "Fail" {
						t.Errorf("%s %s: failurePolicy is %v", kind, o.GetName(), p)
					}
				case "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding":
					bindings[strings.TrimSuffix(kind, "Binding")+" "+o.GetName()] = true
					if name := field(t, o, "spec", "policyName"); name != o.GetName() {
						t.Errorf("%s %s binds %v", kind, o.GetName(), name)
					}
				}
			}
			if diff := cmp.Diff(policies, bindings); diff != "" {
				t.Errorf("policies and bindings (-policies +bindings):\n%s", diff)
			}
			if len(policies) < 4 {
				t.Errorf("%d policies: %v", len(policies), policies)
			}
		})
	}
}

func TestPodEndsAreGuardedAsTheValuesSay(t *testing.T) {
	t.Parallel()
	const policy = "spiderpool-pod-ends"
	tests := map[string]struct {
		values       Values
		wantNone     bool
		want, absent []string // in the match condition
	}{
		"by default": {
			nil, false,
			[]string{
				`request.userInfo.username == "system:node:" + oldObject.spec.?nodeName`,
				`["system:serviceaccount:kube-system:pod-garbage-collector","system:kube-controller-manager"]`,
			},
			[]string{"groups.exists"},
		},
		"with users and groups of the cluster's own": {
			Values{"allowedUsers": []string{`a "virtual" kubelet`}, "allowedGroups": []string{"kubelets"}}, false,
			[]string{`username in ["a \"virtual\" kubelet"]`, `groups.exists(g, g in ["kubelets"])`},
			[]string{"pod-garbage-collector"},
		},
		"with the node alone": {
			Values{"allowedUsers": []string{}}, false, []string{`"system:nodes" in request.userInfo.groups`}, []string{"username in"},
		},
		"switched off": {Values{"enabled": false}, true, nil, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := byURL()
			if tc.values != nil {
				values["guards"] = Values{"podStatus": tc.values}
			}
			objects := render(t, values)
			if tc.wantNone {
				if slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetName() == policy }) {
					t.Errorf("%s is there", policy)
				}
				return
			}
			conditions, ok := field(t, find(t, objects, "ValidatingAdmissionPolicy", policy), "spec", "matchConditions").([]any)
			if !ok || len(conditions) != 1 {
				t.Fatalf("match conditions are %v, want one", conditions)
			}
			condition, ok := conditions[0].(map[string]any)
			if !ok {
				t.Fatalf("the match condition is a %T", conditions[0])
			}
			expression, _, _ := unstructured.NestedString(condition, "expression")
			for _, part := range tc.want {
				if !strings.Contains(expression, part) {
					t.Errorf("the condition lacks %s:\n%s", part, expression)
				}
			}
			for _, part := range tc.absent {
				if strings.Contains(expression, part) {
					t.Errorf("the condition has %s:\n%s", part, expression)
				}
			}
		})
	}
}

// The chart and the engine both have the number.
func TestNobodySaysALongerGraceThanIsCounted(t *testing.T) {
	t.Parallel()
	objects := render(t, byURL())
	longest := strconv.Itoa(int(allocator.MaxGrace / time.Second))
	for policy, part := range map[string]string{
		"spiderpool-deletion-grace": "gracePeriodSeconds.orValue(0) > " + longest + " && ",
		"spiderpool-eviction-grace": "gracePeriodSeconds.orValue(0) <= " + longest + "\n",
	} {
		text, err := yaml.Marshal(find(t, objects, "ValidatingAdmissionPolicy", policy).Object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), part) {
			t.Errorf("policy %s lacks %q:\n%s", policy, part, text)
		}
	}
}
