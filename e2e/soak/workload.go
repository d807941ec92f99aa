package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/kruise"
)

const (
	workers = 6
	// mostPods limits the pods of one worker, so that all together ask for a few more addresses
	// than there are.
	mostPods = 12
	// mostReplicas limits each controller's.
	mostReplicas = 10
)

// workload creates and deletes pods. Failures are ignored, since a server may be away.
type workload struct {
	client client.Client
	made   atomic.Int64
}

func pools() map[string]string {
	return behaviours.FromPools([]string{poolV4}, []string{poolV6})
}

// ofWorker is the label that says which worker a pod belongs to. Nothing else does: after etcd was
// restored, pods exist again that a worker had deleted.
const ofWorker = "soak/worker"

// worker works until ctx ends.
func (l *workload) worker(ctx context.Context, id int, random *rand.Rand) {
	own := map[string]string{ofWorker: strconv.Itoa(id)}
	for i := 0; ctx.Err() == nil; i++ {
		behaviours.Pause(ctx, time.Duration(50+random.IntN(200))*time.Millisecond)
		var mine corev1.PodList
		if l.client.List(ctx, &mine, client.InNamespace(namespace), client.MatchingLabels(own)) != nil {
			continue
		}
		if n := len(mine.Items); n > 0 && (random.IntN(2) == 0 || n >= mostPods) {
			_ = l.remove(ctx, &mine.Items[random.IntN(n)], random.IntN(10)) // or the next time
			continue
		}
		pod := behaviours.NewPod(namespace, fmt.Sprintf("pod-%d-%d", id, i), pools())
		pod.Labels = maps.Clone(own)
		if random.IntN(4) == 0 {
			pod.Labels[finishes] = "soon"
		}
		if l.client.Create(ctx, pod) == nil {
			l.made.Add(1)
		}
	}
}

// remove deletes a pod in one of the ways that people use.
func (l *workload) remove(ctx context.Context, pod *corev1.Pod, how int) error {
	switch {
	case how < 2:
		return client.IgnoreNotFound(l.client.Delete(ctx, pod, client.GracePeriodSeconds(0)))
	case how < 4:
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		return client.IgnoreNotFound(l.client.SubResource("eviction").Create(ctx, pod, eviction))
	}
	return client.IgnoreNotFound(l.client.Delete(ctx, pod))
}

// owners returns one controller of each kind, to be created or found by name.
func owners() []client.Object {
	template := func(app string) corev1.PodTemplateSpec {
		pod := behaviours.NewPod(namespace, "", pools())
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}, Annotations: pod.Annotations}, Spec: pod.Spec}
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	selector := func(app string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	stateful := func(name string) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: meta(name), Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(2)), ServiceName: name, PodManagementPolicy: appsv1.ParallelPodManagement, Selector: selector(name), Template: template(name),
		}}
	}
	return []client.Object{
		&appsv1.ReplicaSet{ObjectMeta: meta("rs"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(2)), Selector: selector("rs"), Template: template("rs")}},
		stateful("web"), stateful("db"),
		&kruise.StatefulSet{ObjectMeta: meta("kept"), Spec: kruise.StatefulSetSpec{
			Replicas: new(int32(2)), ServiceName: "kept", PodManagementPolicy: appsv1.ParallelPodManagement, Selector: selector("kept"), Template: template("kept"),
		}},
		&kruise.CloneSet{ObjectMeta: meta("clones"), Spec: kruise.CloneSetSpec{Replicas: new(int32(2)), Selector: selector("clones"), Template: template("clones")}},
	}
}

// scaler scales controllers until ctx ends, and now and then creates one again: a StatefulSet
// without its pods, which go on.
func (l *workload) scaler(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		all := owners()
		object := all[random.IntN(len(all))]
		if l.client.Create(ctx, object) == nil {
			continue
		}
		switch random.IntN(8) {
		case 0:
			how := metav1.DeletePropagationBackground
			switch object.(type) {
			case *appsv1.StatefulSet, *kruise.StatefulSet:
				if random.IntN(2) == 0 {
					how = metav1.DeletePropagationOrphan
				}
			}
			_ = l.client.Delete(ctx, object, client.PropagationPolicy(how))
		default:
			patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, random.IntN(mostReplicas+1))
			_ = l.client.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(patch)))
		}
		behaviours.Pause(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
	}
}
