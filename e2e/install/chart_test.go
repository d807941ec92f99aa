package install

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
)

const testVersion = "v1.37.2"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains if it is not set
	os.Exit(m.Run())
}

func byURL() Values { return Values{"controller": Values{"url": "https://127.0.0.1:9443/"}} }

func render(t *testing.T, values Values) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Render(t.Context(), testVersion, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		t.Fatalf("no %s %q among %d objects", kind, name, len(objects))
	}
	return objects[i]
}

func TestChartThatCouldNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version string
		values  Values
		want    string
	}{
		"nothing would answer the webhooks": {testVersion, nil, "Set controller.url to where it runs"},
		"policies that Kubernetes does not have yet": {
			"v1.29.14", nil, "chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.14",
		},
		"failing open where nothing strips": {
			"v1.35.3", Values{"webhook": Values{"failurePolicy": "Ignore"}},
			"webhook.failurePolicy: Ignore wants Kubernetes 1.36 or newer, this is v1.35.3",
		},
		"a failure policy that does not exist": {
			testVersion, Values{"webhook": Values{"failurePolicy": "ignore"}}, `webhook.failurePolicy: "ignore": want Ignore, Fail`,
		},
		"a kind of Kubernetes' own group": {
			testVersion, Values{"config": Values{"stableIdentityKinds": []Values{{"kind": "Thing"}}}},
			`config.stableIdentityKinds: kind "Thing" without a group`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := byURL()
			if tc.values == nil && tc.version == testVersion {
				values = nil
			}
			for key, value := range tc.values {
				values[key] = value
			}
			if _, err := Render(t.Context(), tc.version, values); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one that says %s", err, tc.want)
			}
		})
	}
}

func TestDefinitionsAreTheGeneratedOnesAndStayAtUninstall(t *testing.T) {
	t.Parallel()
	objects := render(t, byURL())
	tree, err := component.Tree()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(tree, "chart/files/crds/*.yaml"))
	if err != nil || len(files) != 4 {
		t.Fatalf("found %d definitions (%v), want those of four kinds", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := yaml.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		name, _, _ := unstructured.NestedString(want, "metadata", "name")
		got := find(t, objects, definition, name)
		if got.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s: annotations are %v, want it kept", name, got.GetAnnotations())
		}
		wantText, err := yaml.Marshal(want["spec"])
		if err != nil {
			t.Fatal(err)
		}
		gotText, err := yaml.Marshal(got.Object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(wantText), string(gotText)); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", name, diff)
		}
	}
}

func TestWebhooksAreReachedByURLOrByService(t *testing.T) {
	t.Parallel()
	ca := "Q0E="
	tests := map[string]struct {
		values Values
		want   func(path string) map[string]any
	}{
		"by URL": {
			byURL(),
			func(path string) map[string]any { return map[string]any{"url": "https://127.0.0.1:9443" + path} },
		},
		"by Service, with a given CA": {
			Values{"controller": Values{"deployedByYou": true}, "webhook": Values{"caBundle": ca}},
			func(path string) map[string]any {
				return map[string]any{"caBundle": ca, "service": map[string]any{
					"namespace": Namespace, "name": "spiderpool-controller", "path": path, "port": int64(443),
				}}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := render(t, tc.values)
			for kind, want := range map[string][]string{
				"MutatingWebhookConfiguration":   {"/mutate-pods", "/mutate-spiderippools", "/mutate-spiderreservedips"},
				"ValidatingWebhookConfiguration": {"/validate-spiderippools", "/validate-spiderreservedips"},
			} {
				hooks, _, err := unstructured.NestedSlice(find(t, objects, kind, "spiderpool").Object, "webhooks")
				if err != nil || len(hooks) != len(want) {
					t.Fatalf("%s has %d webhooks (%v), want %d", kind, len(hooks), err, len(want))
				}
				for i, path := range want {
					if diff := cmp.Diff(tc.want(path), hooks[i].(map[string]any)["clientConfig"]); diff != "" {
						t.Errorf("%s %d (-want +got):\n%s", kind, i, diff)
					}
				}
			}
		})
	}
}

// conf returns what the controller would read.
func conf(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	text, _, _ := unstructured.NestedString(find(t, objects, "ConfigMap", "spiderpool-conf").Object, "data", "conf.yml")
	return []byte(text)
}

func TestConfigurationIsWhatTheValuesSay(t *testing.T) {
	t.Parallel()
	tree, err := component.Tree()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(tree, "chart/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var defaults struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(text, &defaults); err != nil {
		t.Fatal(err)
	}
	want := defaults.Config
	want["expiryGrace"], want["clusterDefaultIPv4IPPool"] = "20s", []any{"a"}

	values := byURL()
	values["config"] = Values{"expiryGrace": "20s", "clusterDefaultIPv4IPPool": []string{"a"}}
	var got map[string]any
	if err := yaml.UnmarshalStrict(conf(t, render(t, values)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conf.yml (-want +got):\n%s", diff)
	}
}

func TestDefaultConfigurationIsTheControllersOwn(t *testing.T) {
	t.Parallel()
	got, err := config.Parse(conf(t, render(t, byURL())))
	if err != nil {
		t.Fatal(err)
	}
	alike := cmp.Comparer(func(a, b labels.Selector) bool { return a.String() == b.String() && a.Empty() == b.Empty() })
	if diff := cmp.Diff(config.Default(), got, alike, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the chart's configuration (-the controller's +the chart's):\n%s", diff)
	}
}

// TestChartOnARealAPIServer installs, upgrades and checks the rights.
func TestChartOnARealAPIServer(t *testing.T) {
	t.Parallel()
	c, err := cluster.StartControlPlane(t.Context(), cluster.ControlPlaneOptions{ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := Chart(t.Context(), c.Config, byURL()); err != nil {
		t.Fatalf("installing: %v", err)
	}
	values := byURL()
	values["webhook"] = Values{"timeoutSeconds": 3}
	values["config"] = Values{"stableIdentityKinds": []Values{{"group": "db.example.com", "kind": "Database"}}}
	if err := Chart(t.Context(), c.Config, values); err != nil {
		t.Fatalf("upgrading: %v", err)
	}
	t.Run("what the API server would store by Service is valid", func(t *testing.T) { dryRunByService(t, c) })
	t.Run("rights", func(t *testing.T) { checkRights(t, c) })
	t.Run("types in the guards", func(t *testing.T) { checkTypes(t, c) })
}

// checkTypes waits for the controller manager's type check of the guards' expressions.
func checkTypes(t *testing.T, c *cluster.ControlPlane) {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	policies := clients.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for _, o := range render(t, byURL()) {
		if o.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		err := wait.PollUntilContextTimeout(t.Context(), poll, patience, true, func(ctx context.Context) (bool, error) {
			p, err := policies.Get(ctx, o.GetName(), metav1.GetOptions{})
			if err != nil || p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
				return false, err
			}
			for _, w := range p.Status.TypeChecking.ExpressionWarnings {
				t.Errorf("%s: %s: %s", p.Name, w.FieldRef, w.Warning)
			}
			return true, nil
		})
		if err != nil {
			t.Errorf("waiting for the types in %s: %v", o.GetName(), err)
		}
	}
}

func dryRunByService(t *testing.T, c *cluster.ControlPlane) {
	api, err := client.New(c.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range render(t, Values{"controller": Values{"deployedByYou": true}}) {
		// A field manager other than the URL's must not be left with both.
		if order(o) == 2 {
			o.SetName("by-service")
		}
		if err := apply(t.Context(), api, o, client.DryRunAll); err != nil {
			t.Error(err)
		}
	}
}

// right is what one of the service accounts may or may not do.
type right struct {
	account, verb, group, resource, subresource, namespace, name string
	want                                                         bool
}

func checkRights(t *testing.T, c *cluster.ControlPlane) {
	const (
		controller = "spiderpool-controller"
		plugin     = "spiderpool-cni"
		pools      = "spiderpool.spidernet.io"
		admission  = "admissionregistration.k8s.io"
	)
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []right{
		{controller, "watch", "", "pods", "", "", "", true},
		{controller, "patch", "", "pods", "", "shop", "web-0", true},
		{controller, "patch", "", "pods", "status", "shop", "web-0", true},
		{controller, "update", "", "pods", "", "shop", "web-0", false},
		{controller, "update", "", "pods", "status", "shop", "web-0", false},
		{controller, "create", "", "pods", "", "shop", "", false},
		{controller, "create", "", "pods", "binding", "shop", "web-0", false},
		{controller, "delete", "", "pods", "", "shop", "", false},
		{controller, "watch", "", "nodes", "", "", "", true},
		{controller, "patch", "", "nodes", "", "", "one", false},
		{controller, "get", "", "namespaces", "", "", "kube-system", true},
		{controller, "patch", "", "events", "", "shop", "", true},
		{controller, "create", "events.k8s.io", "events", "", "shop", "", true},
		{controller, "get", "apps", "statefulsets", "", "shop", "web", true},
		{controller, "get", "apps.kruise.io", "statefulsets", "", "shop", "web", true},
		{controller, "list", "apps", "statefulsets", "", "shop", "", false},
		{controller, "get", "apps", "deployments", "", "shop", "web", false},
		{controller, "get", "db.example.com", "databases", "", "shop", "main", true},
		{controller, "list", "db.example.com", "databases", "", "shop", "", false},
		{controller, "get", "example.com", "databases", "", "shop", "main", false},
		{controller, "update", pools, "spiderippools", "status", "", "blue", true},
		{controller, "create", pools, "spiderippools", "", "", "", false},
		{controller, "delete", pools, "spiderippools", "", "", "", false},
		{controller, "create", pools, "spiderendpoints", "", "shop", "", true},
		{controller, "patch", admission, "mutatingwebhookconfigurations", "", "", "spiderpool", true},
		{controller, "patch", admission, "mutatingwebhookconfigurations", "", "", "another", false},
		{controller, "update", admission, "mutatingwebhookconfigurations", "", "", "spiderpool", false},
		{controller, "create", admission, "mutatingwebhookconfigurations", "", "", "", false},
		{controller, "get", "", "secrets", "", Namespace, "spiderpool-serving-cert", true},
		{controller, "get", "", "secrets", "", Namespace, "another", false},
		{controller, "list", "", "secrets", "", Namespace, "", false},
		{controller, "get", "", "secrets", "", "default", "spiderpool-serving-cert", false},
		{controller, "get", "", "configmaps", "", Namespace, "spiderpool-conf", true},
		{controller, "update", "", "configmaps", "", Namespace, "spiderpool-conf", false},
		{controller, "create", "coordination.k8s.io", "leases", "", Namespace, "", true},
		{controller, "create", "coordination.k8s.io", "leases", "", "default", "", false},
		{plugin, "get", "", "pods", "", "shop", "web", true},
		{plugin, "list", "", "pods", "", "shop", "", false},
		{plugin, "get", "", "secrets", "", Namespace, "spiderpool-serving-cert", false},
		{plugin, "get", pools, "spiderippools", "", "", "blue", false},
	} {
		review, err := clients.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + Namespace + ":" + r.account,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource, Namespace: r.namespace, Name: r.name,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != r.want {
			t.Errorf("%+v: allowed is %v", r, review.Status.Allowed)
		}
	}
}
