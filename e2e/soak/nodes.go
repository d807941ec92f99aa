package soak

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"

	"spidernet.io/spiderpool/e2e/behaviours"
)

// finishes is the label of pods that end without being deleted.
const finishes = "soak/finishes"

// nodes are kubelets, and the scheduler, that run nothing. They write to the API what those would
// write, and remember what would answer on the wire: a pod that was deleted by force goes on
// running for its grace, whatever the API says.
type nodes struct {
	client client.Client            // an admin's
	as     map[string]client.Client // node -> client of its user
	names  []string
	random *rand.Rand
	ended  func([]netip.Addr) // called when pods have ended normally

	round   sync.Mutex // held while the nodes process the pods
	begun   time.Time
	mu      sync.Mutex
	running map[types.UID]*sandbox
	waits   map[types.UID]string // pending pods -> reason in their condition
	waited  map[types.UID]bool   // pods that were pending
	longest Wait
	doubles []string // found on the wire
}

// Wait is how long a pod waited for its addresses, and the last reason.
type Wait struct {
	Pod, For string
	Took     time.Duration
}

func (w Wait) String() string {
	return fmt.Sprintf("%s (%s, %s)", w.Took.Round(time.Second), w.Pod, cmp.Or(w.For, "no reason known"))
}

// sandbox is a pod that would answer on the wire.
type sandbox struct {
	name      string
	addresses []netip.Addr
	until     time.Time // zero: it goes on
}

// newNodes creates the nodes.
func newNodes(ctx context.Context, cfg *rest.Config, c client.Client, random *rand.Rand, ended func([]netip.Addr)) (*nodes, error) {
	n := &nodes{begun: time.Now(), client: c, as: map[string]client.Client{}, random: random, ended: ended, running: map[types.UID]*sandbox{}, waited: map[types.UID]bool{}, waits: map[types.UID]string{}}
	for i := range 3 {
		name := fmt.Sprintf("soak-node-%d", i)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		if err := c.Create(ctx, node); err != nil {
			return nil, err
		}
		as := rest.CopyConfig(cfg)
		as.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
		own, err := client.New(as, client.Options{Scheme: c.Scheme()})
		if err != nil {
			return nil, err
		}
		n.as[name], n.names = own, append(n.names, name)
	}
	return n, nil
}

// run runs the nodes until ctx ends. What fails because a server is away is tried again.
func (n *nodes) run(ctx context.Context) {
	var beat time.Time
	for ctx.Err() == nil {
		if time.Since(beat) > 5*time.Second {
			beat = time.Now()
			for _, name := range n.names {
				_ = n.heartbeat(ctx, name)
			}
		}
		n.sync(ctx)
		behaviours.Pause(ctx, 100*time.Millisecond)
	}
}

// heartbeat renews the lease of a node, and makes it Ready.
func (n *nodes) heartbeat(ctx context.Context, name string) error {
	now := metav1.NewMicroTime(time.Now())
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name}}
	err := n.client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &name, &now, new(int32(40))
	switch {
	case apierrors.IsNotFound(err):
		err = n.client.Create(ctx, lease)
	case err == nil:
		err = n.client.Update(ctx, lease)
	}
	if err != nil {
		return err
	}
	var node corev1.Node
	if err := n.client.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	before := node.DeepCopy()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Pretended", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	return n.as[name].Status().Patch(ctx, &node, client.StrategicMergeFrom(before))
}

// sync does the next step for each pod.
func (n *nodes) sync(ctx context.Context) {
	n.round.Lock()
	defer n.round.Unlock()
	var pods corev1.PodList
	if err := n.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return // the API server is away; what runs goes on
	}
	there := map[types.UID]bool{}
	for i := range pods.Items {
		there[pods.Items[i].UID] = true
	}
	n.reap(there)
	for i := range pods.Items {
		if ctx.Err() == nil {
			_ = n.next(ctx, &pods.Items[i])
		}
	}
}

// reap ends what runs without an object, once its grace is over.
func (n *nodes) reap(there map[types.UID]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for uid, s := range n.running {
		switch {
		case there[uid]:
		case s.until.IsZero():
			s.until = time.Now().Add(time.Second)
		case time.Now().After(s.until):
			delete(n.running, uid)
		}
	}
}

// next does the next step for a pod.
func (n *nodes) next(ctx context.Context, pod *corev1.Pod) error {
	claims, _ := crdv1.ClaimsOf(pod.Annotations)
	n.noteWait(pod, len(claims) > 0)
	over := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil:
		if len(pod.Spec.SchedulingGates) > 0 {
			return nil
		}
		node := n.names[n.random.IntN(len(n.names))]
		return n.client.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}})
	case pod.Spec.NodeName == "":
		return nil
	case pod.DeletionTimestamp != nil:
		return n.end(ctx, pod, corev1.PodFailed, over)
	case over || len(claims) == 0:
		return nil
	case pod.Status.Phase == corev1.PodRunning && pod.Labels[finishes] != "" && time.Since(pod.CreationTimestamp.Time) > 3*time.Second:
		return n.end(ctx, pod, corev1.PodSucceeded, false)
	}
	return n.start(ctx, pod, claims)
}

// noteWait records how long a pod has waited once it has its addresses.
func (n *nodes) noteWait(pod *corev1.Pod, has bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waited[pod.UID] {
		return
	}
	if !has {
		if c := behaviours.Condition(pod); c != nil {
			n.waits[pod.UID] = c.Reason
		}
		return
	}
	n.waited[pod.UID] = true
	if took := time.Since(pod.CreationTimestamp.Time); took > n.longest.Took {
		n.longest = Wait{pod.Name, n.waits[pod.UID], took}
	}
	delete(n.waits, pod.UID)
}

// start lets a pod answer on the wire, and writes its status.
func (n *nodes) start(ctx context.Context, pod *corev1.Pod, claims []crdv1.Claim) error {
	n.mu.Lock()
	if n.running[pod.UID] == nil {
		s := &sandbox{name: pod.Name + " on " + pod.Spec.NodeName}
		for _, c := range claims {
			s.addresses = append(s.addresses, c.Address)
			for _, other := range n.running {
				for _, a := range other.addresses {
					if a == c.Address {
						n.doubles = append(n.doubles, fmt.Sprintf("after %.0f s, %s: %s, and %s", time.Since(n.begun).Seconds(), a, s.name, other.name))
					}
				}
			}
		}
		n.running[pod.UID] = s
	}
	n.mu.Unlock()
	if pod.Status.Phase == corev1.PodRunning {
		return nil
	}
	return n.report(ctx, pod, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}})
}

// end ends a pod, writes its status unless that was reported already, and removes its object where
// it is being deleted.
func (n *nodes) end(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase, reported bool) error {
	n.mu.Lock()
	s := n.running[pod.UID]
	delete(n.running, pod.UID)
	n.mu.Unlock()
	if !reported {
		ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Now()}}
		if err := n.report(ctx, pod, phase, ended); err != nil {
			return err
		}
		if s != nil {
			n.ended(s.addresses)
		}
	}
	if pod.DeletionTimestamp == nil {
		return nil
	}
	err := n.as[pod.Spec.NodeName].Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	return client.IgnoreNotFound(err)
}

func (n *nodes) report(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) error {
	before := pod.DeepCopy()
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = make([]corev1.ContainerStatus, len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses[i] = corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: state, Ready: state.Running != nil}
	}
	ready := corev1.ConditionFalse
	if state.Running != nil {
		ready = corev1.ConditionTrue
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()})
	return n.as[pod.Spec.NodeName].Status().Patch(ctx, pod, client.StrategicMergeFrom(before))
}

// forget ends everything that runs: the API server was restored.
func (n *nodes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.running)
}
