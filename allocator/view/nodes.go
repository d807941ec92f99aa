package view

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Node is what is kept of a node. It is immutable.
type Node struct {
	metav1.ObjectMeta // name, UID, resourceVersion and creation time, nothing else
	Ready             bool
	Since             time.Time // on the API server's clock: when Ready last changed
	OutOfService      bool      // tainted out-of-service: an administrator confirms that it is shut down (KEP-2268)
	Addresses         []netip.Addr
}

// Nodes are the nodes as the watch has shown them, with how long each has been Ready on this
// process's clock. It is safe for concurrent use.
type Nodes struct {
	informer     cache.SharedIndexInformer
	registration cache.ResourceEventHandlerRegistration
	now          func() time.Time

	mu    sync.Mutex
	ready ReadySpans
}

// ReadySpans say since when nodes have been Ready without interruption, as far as they were
// watched. Not safe for concurrent use.
type ReadySpans map[string]readySpan // node -> span

// readySpan is a time during which a node was Ready.
type readySpan struct {
	node  types.UID
	since time.Time // on the API server's clock
	begun time.Time // when this process saw it first
}

var (
	_ manager.Runnable               = (*Nodes)(nil)
	_ manager.LeaderElectionRunnable = (*Nodes)(nil)
)

// NewNodes returns an empty view of the nodes; Start fills it.
func NewNodes(client kubernetes.Interface, now func() time.Time) (*Nodes, error) {
	n := &Nodes{now: now, ready: ReadySpans{}}
	n.informer = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(receiveNode)).Core().V1().Nodes().Informer()
	err := n.informer.AddIndexers(cache.Indexers{byAddress: func(object any) ([]string, error) {
		node, ok := object.(*Node)
		if !ok {
			return nil, fmt.Errorf("the node informer holds a %T", object)
		}
		return uniqueKeys(node.Addresses, netip.Addr.String), nil
	}})
	if err != nil {
		return nil, err
	}
	n.registration, err = n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    n.note,
		UpdateFunc: func(_, after any) { n.note(after) },
		DeleteFunc: n.forget,
	})
	return n, err
}

// receiveNode is the transform of the informer.
func receiveNode(object any) (any, error) {
	if node, ok := object.(*corev1.Node); ok {
		return NewNode(node), nil
	}
	return object, nil // a *Node already, or a tombstone
}

// NewNode returns what is kept of a node.
func NewNode(node *corev1.Node) *Node {
	n := &Node{
		ObjectMeta:   metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, CreationTimestamp: node.CreationTimestamp},
		OutOfService: OutOfService(node),
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			n.Ready, n.Since = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
	}
	for _, a := range node.Status.Addresses {
		if address, err := netip.ParseAddr(a.Address); err == nil {
			n.Addresses = append(n.Addresses, address.Unmap())
		}
	}
	return n
}

// OutOfService reports whether an administrator has confirmed, by the out-of-service taint, that a
// node is shut down.
func OutOfService(node *corev1.Node) bool {
	for _, t := range node.Spec.Taints {
		if t.Key == corev1.TaintNodeOutOfService {
			return true
		}
	}
	return false
}

// Start runs the informer until ctx ends.
func (n *Nodes) Start(ctx context.Context) error {
	n.informer.RunWithContext(ctx)
	return nil
}

// NeedLeaderElection returns false, since every replica keeps the nodes: none may hand out the
// address of a node.
func (*Nodes) NeedLeaderElection() bool { return false }

// Synced reports whether all nodes were listed once (I11).
func (n *Nodes) Synced() bool { return n.registration.HasSynced() }

// UsedBy reports whether an address belongs to a node (I7).
func (n *Nodes) UsedBy(a netip.Addr) bool {
	keys, err := n.informer.GetIndexer().IndexKeys(byAddress, a.String())
	return err == nil && len(keys) > 0
}

// Ready returns since when a node has been Ready without interruption, on the API server's clock,
// and for how long this process has watched that; 0 where it is not Ready.
func (n *Nodes) Ready(node string) (since time.Time, lasts time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ready.Of(node, n.now())
}

// Of returns since when a node has been Ready, on the API server's clock, and for how long that was
// watched; 0 where it is not Ready.
func (s ReadySpans) Of(node string, now time.Time) (since time.Time, lasts time.Duration) {
	span, ok := s[node]
	if !ok {
		return time.Time{}, 0
	}
	return span.since, now.Sub(span.begun)
}

// See processes a version of a node.
func (s ReadySpans) See(node *Node, now time.Time) {
	span, ok := s[node.Name]
	switch {
	case !node.Ready:
		delete(s, node.Name)
	case !ok || span.node != node.UID || !span.since.Equal(node.Since):
		s[node.Name] = readySpan{node.UID, node.Since, now}
	}
}

// NotReadyFor returns a node created before born that has not been Ready for as long as needed, and
// is not out of service.
func (n *Nodes) NotReadyFor(need time.Duration, born time.Time) (node string, is bool) {
	for _, object := range n.informer.GetStore().List() {
		node, ok := object.(*Node)
		if !ok || node.OutOfService || node.CreationTimestamp.After(born) {
			continue
		}
		if _, lasts := n.Ready(node.Name); lasts < need {
			return node.Name, true
		}
	}
	return "", false
}

// Shows reports whether there is a node of that name, as far as the watch has shown.
func (n *Nodes) Shows(name string) bool {
	_, ok, err := n.informer.GetStore().GetByKey(name)
	return err == nil && ok
}

// GoneOrOutOfService reports whether a node is gone or out of service, as far as the watch has
// shown.
func (n *Nodes) GoneOrOutOfService(name string) bool {
	object, ok, err := n.informer.GetStore().GetByKey(name)
	node, is := object.(*Node)
	return err == nil && (!ok || is && node.OutOfService)
}

func (n *Nodes) note(object any) {
	if node, ok := object.(*Node); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.ready.See(node, n.now())
	}
}

func (n *Nodes) forget(object any) {
	name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if node, ok := object.(*Node); ok {
		name, err = node.Name, nil
	}
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ready, name)
}
