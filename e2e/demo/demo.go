package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/status"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/install"
)

// The manifests in the work tree, word for word those of the page "Spiderpool supports third-party
// controllers".
const (
	poolManifest     = "e2e/demo/pool.yaml"
	cloneSetManifest = "e2e/demo/cloneset.yaml"
)

const (
	poolName = "custom-ipv4-ippool"
	setName  = "custom-kruise-cloneset"
	selector = "app=" + setName
	replicas = 3
)

// The addresses of the pool.
var first, last = netip.MustParseAddr("172.18.41.40"), netip.MustParseAddr("172.18.41.50")

// demo is one run of the demo.
type demo struct {
	*stage
	api client.Client
}

// Run runs the demo in a cluster of the given name, which must not be up yet; the empty name is the
// cluster of `make cluster-up`.
func Run(ctx context.Context, name string, out io.Writer) error {
	tree, err := component.Tree()
	if err != nil {
		return err
	}
	s := &stage{out: out, start: time.Now(), tree: tree}
	s.step("bringing a cluster up: control plane and two nodes, in network namespaces of their own")
	c, err := cluster.Up(ctx, cluster.Options{Name: name, Out: out})
	if errors.Is(err, cluster.ErrUp) {
		return fmt.Errorf("%w; the demo starts from nothing: %s", err, downCommand(name))
	}
	if err != nil {
		return err
	}
	s.bin, s.kubeconfig, s.home = c.Bin(), c.Kubeconfig, install.Dir(c)
	d, err := prepare(ctx, s, c)
	if err == nil {
		err = d.show(ctx)
	}
	if err != nil {
		fmt.Fprintf(out, "\nthe cluster stays up, so that you can look why:\n")
	}
	c.Describe(out)
	fmt.Fprintf(out, "the controller is a process there; whenever it ends, its supervisor starts it again within 30 s, "+
		"and says so in %s\n", filepath.Join(c.Logs(), install.ControllerName+".log"))
	return err
}

func downCommand(name string) string {
	if name == "" {
		return "make cluster-down"
	}
	return "make cluster-down CLUSTER=" + name
}

// prepare installs the product.
func prepare(ctx context.Context, s *stage, c *cluster.Cluster) (*demo, error) {
	if _, err := install.OnCluster(ctx, c, install.ClusterOptions{Step: s.step, Supervise: true}); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), crdv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	api, err := client.New(c.Config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &demo{stage: s, api: api}, nil
}

// show runs the visible part.
func (d *demo) show(ctx context.Context) error {
	d.step("a pool of eleven addresses, and a CloneSet with pods that ask for it")
	if err := d.run(ctx,
		[]string{"apply", "-f", poolManifest},
		[]string{"wait", "--for=condition=Ready", "sp/" + poolName, "--timeout=60s"},
		[]string{"apply", "-f", cloneSetManifest},
		[]string{"wait", "--for=jsonpath={.status.readyReplicas}=3", "clonesets/" + setName, "--timeout=60s"},
		[]string{"get", "po", "-l", selector, "-o", "wide"},
		[]string{"get", "sp"},
	); err != nil {
		return err
	}
	pods, err := d.pods(ctx)
	if err != nil {
		return err
	}
	if err := d.await(ctx, func(ctx context.Context) error { return d.endpoints(ctx, pods) }); err != nil {
		return err
	}
	if err := d.run(ctx, []string{"get", "se"}); err != nil {
		return err
	}
	here, there, err := acrossNodes(pods)
	if err != nil {
		return err
	}
	d.say("from %s on %s to %s on %s", here.Name, here.Spec.NodeName, there.Name, there.Spec.NodeName)
	if err := d.run(ctx, []string{"exec", here.Name, "--", "ping", "-c", "3", there.Status.PodIP}); err != nil {
		return err
	}
	took, err := d.giveBack(ctx, here)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nShown in %.0f s: %d CloneSet pods on two nodes, Running, readiness gates true, with addresses from %s-%s; "+
		"a ping from pod to pod across nodes; and address %s of a deleted pod free again %d ms after kubectl saw the pod gone.\n",
		time.Since(d.start).Seconds(), replicas, first, last, here.Status.PodIP, took.Milliseconds())
	return nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintln(d.out)
	d.step(fmt.Sprintf(format, args...))
}

func (d *demo) run(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if err := d.kubectl(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

// pods returns the CloneSet's pods, and an error where one is not as it should be.
func (d *demo) pods(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := d.api.List(ctx, &list, client.InNamespace("default"), client.MatchingLabels{"app": setName}); err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) != replicas {
		return nil, fmt.Errorf("%d pods, want %d", len(pods), replicas)
	}
	for _, p := range pods {
		a, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil || a.Less(first) || last.Less(a) {
			return nil, fmt.Errorf("pod %s has address %q, want one from %s to %s", p.Name, p.Status.PodIP, first, last)
		}
		if !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			return nil, fmt.Errorf("pod %s is not Ready", p.Name)
		}
	}
	return pods, nil
}

// endpoints checks that each pod's endpoint has its address.
func (d *demo) endpoints(ctx context.Context, pods []corev1.Pod) error {
	for _, p := range pods {
		var e crdv1.SpiderEndpoint
		if err := d.api.Get(ctx, client.ObjectKeyFromObject(&p), &e); err != nil {
			return err
		}
		if c := e.Status.Current; c == nil || len(c.IPs) != 1 || c.IPs[0].IPv4 != p.Status.PodIP+"/24" || c.Node != p.Spec.NodeName {
			return fmt.Errorf("endpoint %s says %+v, the pod has %s on %s", e.Name, c, p.Status.PodIP, p.Spec.NodeName)
		}
	}
	return nil
}

func acrossNodes(pods []corev1.Pod) (here, there *corev1.Pod, err error) {
	for i := range pods {
		if pods[i].Spec.NodeName != pods[0].Spec.NodeName {
			return &pods[0], &pods[i], nil
		}
	}
	return nil, nil, fmt.Errorf("all pods are on node %s", pods[0].Spec.NodeName)
}

// giveBack deletes a pod, and returns how long after its end its address was free.
func (d *demo) giveBack(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	d.say("deleting %s, which has %s; the CloneSet makes another pod in its place", pod.Name, pod.Status.PodIP)
	if err := d.run(ctx, []string{"delete", "po", pod.Name}); err != nil {
		return 0, err
	}
	gone := time.Now()
	address := netip.MustParseAddr(pod.Status.PodIP)
	if err := d.await(ctx, func(ctx context.Context) error { return d.free(ctx, address) }); err != nil {
		return 0, err
	}
	took := time.Since(gone)
	if err := d.await(ctx, func(ctx context.Context) error { _, err := d.pods(ctx); return err }); err != nil {
		return 0, err
	}
	return took, d.run(ctx,
		[]string{"get", "po", "-l", selector, "-o", "wide"},
		[]string{"get", "sp"},
		[]string{"get", "sp", poolName, "-o", `jsonpath=taken: {.status.settled} {.status.reserved}{"\n"}`},
	)
}

func (d *demo) free(ctx context.Context, address netip.Addr) error {
	var pool crdv1.SpiderIPPool
	if err := d.api.Get(ctx, client.ObjectKey{Name: poolName}, &pool); err != nil {
		return err
	}
	record, err := status.Record(&pool.Status)
	if err != nil {
		return err
	}
	if record.Contains(address) {
		return fmt.Errorf("address %s is still %s", address, record.State(address))
	}
	return nil
}

// await checks until a condition returns no error.
func (d *demo) await(ctx context.Context, condition func(context.Context) error) error {
	last := errors.New("not looked at")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
