package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// Namespace is where the product is installed, and Release its name there.
const (
	Namespace = "spiderpool"
	Release   = "spiderpool"
)

const (
	poll     = 50 * time.Millisecond
	patience = time.Minute // for what takes a second or two
)

// Values are a chart's values.
type Values map[string]any

// Render runs helm over the product's chart.
func Render(ctx context.Context, kubeVersion string, values Values) ([]*unstructured.Unstructured, error) {
	out, err := Helm(ctx, kubeVersion, values)
	if err != nil {
		return nil, err
	}
	return Objects(out)
}

// Objects reads all objects of a manifest.
func Objects(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
			continue // nothing but comments between two separators
		}
		var o unstructured.Unstructured
		if err := o.UnmarshalJSON(raw.Raw); err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		objects = append(objects, &o)
	}
}

// Helm runs `helm template` over the product's chart and returns what it prints.
func Helm(ctx context.Context, kubeVersion string, values Values) ([]byte, error) {
	helm, err := component.Path(ctx, "helm")
	if err != nil {
		return nil, err
	}
	tree, err := component.Tree()
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "helm-") // the user's repositories and plugins must not matter
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	cmd := exec.CommandContext(ctx, helm, "template", Release, filepath.Join(tree, "chart"),
		"--namespace", Namespace, "--kube-version", kubeVersion, "--values", "-")
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdin = bytes.NewReader(text)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("rendering the chart: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}

// Chart renders the chart for the cluster and applies it, definitions first.
func Chart(ctx context.Context, cfg *rest.Config, values Values) error {
	version, err := serverVersion(cfg)
	if err != nil {
		return err
	}
	return ChartFor(ctx, cfg, version, values)
}

// ChartFor is Chart rendered for a version of Kubernetes that need not be the cluster's: an API
// server that emulates an older version still reports its own.
func ChartFor(ctx context.Context, cfg *rest.Config, kubeVersion string, values Values) error {
	return applyChart(ctx, cfg, kubeVersion, values, func(*unstructured.Unstructured) bool { return true })
}

// Definitions applies only the chart's custom resource definitions, for tests of what reads the
// product's objects without the product.
func Definitions(ctx context.Context, cfg *rest.Config) error {
	version, err := serverVersion(cfg)
	if err != nil {
		return err
	}
	values := Values{"controller": Values{"url": "https://nobody.invalid"}} // the chart requires one; nothing that has it is applied
	return applyChart(ctx, cfg, version, values, func(o *unstructured.Unstructured) bool { return o.GetKind() == definition })
}

func applyChart(ctx context.Context, cfg *rest.Config, kubeVersion string, values Values, wanted func(*unstructured.Unstructured) bool) error {
	objects, err := Render(ctx, kubeVersion, values)
	if err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if err := c.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %q: %w", Namespace, err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return !wanted(o) })
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return order(a) - order(b) })
	for _, o := range objects {
		if err := apply(ctx, c, o); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if o.GetKind() == definition {
			if err := established(ctx, c, o.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

const definition = "CustomResourceDefinition"

// order puts what others need first. Webhooks come last: from then on nothing passes without the
// controller.
func order(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case definition:
		return 0
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return 2
	default:
		return 1
	}
}

func apply(ctx context.Context, c client.Client, o *unstructured.Unstructured, more ...client.ApplyOption) error {
	options := append([]client.ApplyOption{client.FieldOwner("helm"), client.ForceOwnership}, more...)
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), options...); err != nil {
		return fmt.Errorf("applying %s %q: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// established waits until the API server serves a definition's kind.
func established(ctx context.Context, c client.Reader, name string) error {
	err := wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		var o unstructured.Unstructured
		o.SetAPIVersion("apiextensions.k8s.io/v1")
		o.SetKind(definition)
		if err := c.Get(ctx, client.ObjectKey{Name: name}, &o); err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // null until the first is set
		return slices.ContainsFunc(conditions, func(c any) bool {
			m, ok := c.(map[string]any)
			return ok && m["type"] == "Established" && m["status"] == "True"
		}), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s to be served: %w", name, err)
	}
	return nil
}

func serverVersion(cfg *rest.Config) (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return "", err
	}
	version, err := d.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("asking the API server for its version: %w", err)
	}
	return version.GitVersion, nil
}
