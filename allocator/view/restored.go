package view

import (
	"context"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Restored checks that the cluster is still the one that this process knows (I11): kube-system
// keeps its UID, and resource versions only rise. Otherwise etcd was restored from a backup, or the
// address leads to another cluster, and everything in memory is invalid.
type Restored struct {
	api               client.Reader // not a cache
	claims            *Claims
	onClusterRestored func(error) // ends the process

	// Used by Start only.
	uid      types.UID // of kube-system; empty before the first check
	revision uint64    // of the API server at the last check
}

var (
	_ manager.Runnable               = (*Restored)(nil)
	_ manager.LeaderElectionRunnable = (*Restored)(nil)
	_ cache.ResourceEventHandler     = (*Restored)(nil)
)

// NewRestored returns a Restored; onClusterRestored MUST end the process.
func NewRestored(api client.Reader, claims *Claims, onClusterRestored func(error)) *Restored {
	return &Restored{api: api, claims: claims, onClusterRestored: onClusterRestored}
}

// restoredInterval is how often the cluster is checked.
const restoredInterval = 5 * time.Second

var namespaceListKind = schema.GroupVersionKind{Version: "v1", Kind: "NamespaceList"}

// Start checks until ctx ends.
func (r *Restored) Start(ctx context.Context) error {
	_, err := r.claims.AddEventHandler(r)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(restoredInterval)
	defer ticker.Stop()
	for {
		if err := r.look(ctx); err != nil {
			r.onClusterRestored(err)
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// NeedLeaderElection returns false, since every replica checks: each remembers what it wrote.
func (*Restored) NeedLeaderElection() bool { return false }

// look returns an error if the cluster is another one. It reads the API server's revision, since a
// watch that is ahead of a restored API server just waits silently.
func (r *Restored) look(ctx context.Context) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(namespaceListKind)
	err := r.api.List(ctx, &list, client.MatchingFields{"metadata.name": metav1.NamespaceSystem})
	if err != nil || len(list.Items) != 1 {
		log.FromContext(ctx).V(1).Info("the cluster does not say who it is", "namespaces", len(list.Items), "error", fmt.Sprint(err))
		return nil // not known now
	}
	now, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("listing namespaces: resourceVersion %q is no number", list.ResourceVersion)
	}
	uid := list.Items[0].UID
	switch {
	case r.uid != "" && r.uid != uid:
		return fmt.Errorf("this is another cluster: namespace %s has UID %s and had %s", metav1.NamespaceSystem, uid, r.uid)
	case now < r.revision:
		return fmt.Errorf("the cluster was restored: its resourceVersion went back from %d to %d", r.revision, now)
	}
	r.uid, r.revision = uid, now
	return nil
}

// OnAdd implements cache.ResourceEventHandler: Restored gets each change of a pod, since many
// happen between two checks.
func (*Restored) OnAdd(any, bool) {}

// OnUpdate ends the process when a pod is older than it was.
func (r *Restored) OnUpdate(before, after any) {
	o, ok1 := before.(*Pod)
	p, ok2 := after.(*Pod)
	if ok1 && ok2 && o.UID == p.UID && p.Revision < o.Revision {
		r.onClusterRestored(fmt.Errorf("the cluster was restored: the resourceVersion of pod %s went back from %d to %d", p, o.Revision, p.Revision))
	}
}

// OnDelete implements cache.ResourceEventHandler.
func (*Restored) OnDelete(any) {}
