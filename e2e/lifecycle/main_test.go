package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) error {
		server = s
		// What Kubernetes' controller manager would make.
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
		// The node of most pods. It is not Ready: what is held for it stays held.
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
		return errors.Join(s.Client.Create(context.Background(), account), s.Client.Create(context.Background(), node))
	}))
}

// leader is one that believes it leads.
type leader struct {
	deposed chan error
	stop    context.CancelFunc
	done    chan struct{}
}

// lead starts a leader, whose options the test may edit. It ends with the test.
func lead(t *testing.T, grace time.Duration, edits ...func(*lifecycle.Options)) *leader {
	t.Helper()
	return run(t, "", grace, edits...)
}

// run is lead for a process that leads once it has the Lease of that name; without one it leads at
// once.
func run(t *testing.T, lease string, grace time.Duration, edits ...func(*lifecycle.Options)) *leader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &leader{deposed: make(chan error, 100), stop: cancel, done: make(chan struct{})}
	skip := true
	mgr, err := ctrl.NewManager(server.Config, manager.Options{
		Scheme:     server.Scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &skip},

		LeaderElection: lease != "", LeaderElectionID: lease, LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		RetryPeriod: new(100 * time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	typed, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := view.NewClaims(typed)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := view.NewNodes(typed, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	arrivals, err := view.NewArrivals(claims, func(ctx context.Context) (view.Awaited, error) { return lifecycle.ReadAwaited(ctx, server.Client) })
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mgr.Add(claims), mgr.Add(arrivals), mgr.Add(nodes)); err != nil {
		t.Fatal(err)
	}
	pools, err := ledger.Watch(ctx, mgr.GetCache(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	o := lifecycle.Options{
		Ledger:   ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: pools}),
		Pools:    pools,
		Claims:   claims,
		Nodes:    nodes,
		Arrivals: arrivals,
		Chooser:  notOurs{},
		Identity: identity,
		Grace:    grace,
		OnLeadershipLost: func(err error) { // as the process would end
			l.deposed <- err
			cancel()
		},
	}
	for _, edit := range edits {
		edit(&o)
	}
	if err := lifecycle.Setup(mgr, o); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		if err := mgr.Start(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(l.end)
	return l
}

// notOurs says that no pod without an address asks for one.
type notOurs struct{}

func (notOurs) Choose(context.Context, *corev1.Pod) (choice.Choice, error) {
	return choice.Choice{}, nil
}

// identity says that the pods of StatefulSets have one.
func identity(p *view.Pod) (allocator.Identity, string) {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil || owner.Kind != "StatefulSet" {
		return allocator.Identity{}, ""
	}
	return allocator.Identity{Namespace: p.Namespace, Group: "apps", Kind: owner.Kind, Name: owner.Name, Pod: p.Name}, string(owner.UID)
}

func (l *leader) end() {
	l.stop()
	<-l.done
}

var names atomic.Int64

var nets atomic.Int64

// newNet returns the number of a subnet 10.0.<n>.0/24 that no other test has.
func newNet() int64 { return nets.Add(1) }

// newPool makes a pool of 99 addresses and waits until a leader has made it Ready.
func newPool(t *testing.T) string {
	t.Helper()
	net := newNet()
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pool-%d", names.Add(1))},
		Spec:       crdv1.IPPoolSpec{Subnet: fmt.Sprintf("10.0.%d.0/24", net), IPs: []string{fmt.Sprintf("10.0.%d.1-10.0.%d.99", net, net)}},
	}
	if err := server.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "pool "+pool.Name+" is Ready", func() bool {
		return meta.IsStatusConditionTrue(get(t, pool.Name).Pool.Status.Conditions, crdv1.ConditionReady)
	})
	return pool.Name
}

func get(t *testing.T, pool string) *ledger.State {
	t.Helper()
	object, err := ledger.NewAPI(server.Client).Get(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	state, err := ledger.Read(object)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// reserve does what the webhook does before it answers.
func reserve(t *testing.T, pool string) (token string, claim crdv1.Claim) {
	t.Helper()
	l := ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: none{}})
	r := allocator.Reservation{Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: "default"}}
	claims, err := l.Reserve(t.Context(), r, slotsOf([]string{pool}))
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Token), claims[0]
}

type none struct{}

func (none) Pool(string) (*crdv1.SpiderIPPool, bool) { return nil, false }

// newPod makes a pod that carries what was reserved, bound to node unless that is empty.
func newPod(t *testing.T, node, token string, claim crdv1.Claim) *corev1.Pod {
	t.Helper()
	pod := podWith(t, node, token, claim)
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// podWith returns such a pod.
func podWith(t *testing.T, node, token string, claim crdv1.Claim) *corev1.Pod {
	t.Helper()
	a := crdv1.Assigned{Interface: "eth0", IPv4Pool: claim.Pool, IPv4: netip.PrefixFrom(claim.Address, 24).String()}
	value, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default",
			Name:      fmt.Sprintf("pod-%d", names.Add(1)),
			Annotations: map[string]string{
				crdv1.AnnotationAssignedPrefix + "eth0": string(value),
				crdv1.AnnotationReservation:             token,
			},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}, NodeName: node},
	}
}

// say writes the status that a kubelet, or somebody else, would.
func say(t *testing.T, pod *corev1.Pod, phase corev1.PodPhase, running bool) {
	t.Helper()
	container := corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	if running {
		container.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	}
	pod.Status.Phase, pod.Status.ContainerStatuses = phase, []corev1.ContainerStatus{container}
	if err := server.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// slotsOf are for the families of the default NIC.
func slotsOf(pools ...[]string) []choice.Slot {
	all := make([]choice.Slot, len(pools))
	for i, p := range pools {
		all[i] = choice.Slot{NIC: crdv1.DefaultNIC, Family: choice.Family(i % 2), Pools: p}
	}
	return all
}
