package admission

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// podDeadline ends our own work before the API server gives the webhook up after 5 s, so that the answer is ours and what was
	// reserved is given back knowingly.
	podDeadline = 4 * time.Second
	// patience is how long a pod waits for a pool that the leader has not looked at yet.
	patience = 2 * time.Second
	// giveBackDeadline bounds the undoing of a reservation; what it leaves behind expires.
	giveBackDeadline = 5 * time.Second
)

// PodOptions is what a PodDefaulter needs; every field but Metrics is required.
type PodOptions struct {
	Config  config.Config
	Pools   PoolLister
	Changes PoolChanges
	// Cached reads namespaces from a cache; Live reads namespaces and pools from the API server.
	Cached, Live client.Reader
	// Reserver serves pods, DryRun serves dry runs and must not be able to write.
	Reserver, DryRun Reserver
	// Metrics may be nil.
	Metrics *Metrics
}

// PodDefaulter gives pods their addresses at create.
type PodDefaulter struct{ o PodOptions }

var _ admission.Defaulter[*corev1.Pod] = (*PodDefaulter)(nil)

// NewPodDefaulter returns a PodDefaulter.
func NewPodDefaulter(o PodOptions) *PodDefaulter { return &PodDefaulter{o} }

// Default implements admission.Defaulter.
func (d *PodDefaulter) Default(ctx context.Context, pod *corev1.Pod) error {
	request, err := admission.RequestFromContext(ctx)
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if request.Operation != admissionv1.Create || request.SubResource != "" {
		return nil // what a stored pod carries is its own
	}
	ctx, cancel := context.WithTimeout(ctx, podDeadline)
	defer cancel()
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("pod", request.Namespace+"/"+nameOf(pod)))
	given, err := d.assign(ctx, &request, pod)
	o, err := answer(ctx, given, err)
	d.o.Metrics.count(o)
	return err
}

// assign strips, chooses, reserves and writes. It reports whether the pod was given anything.
func (d *PodDefaulter) assign(ctx context.Context, request *admission.Request, pod *corev1.Pod) (bool, error) {
	strip(pod)
	if leftAlone(pod) {
		return false, nil
	}
	chosen, err := d.choose(ctx, pod, request.Namespace)
	if err != nil || len(chosen.NICs) == 0 {
		return false, err
	}
	reserver := d.o.Reserver
	if request.DryRun != nil && *request.DryRun {
		reserver = d.o.DryRun
	}
	token := string(allocator.NewToken())
	claims, err := reserver.Reserve(ctx, token, request.Namespace, chosen.Slots())
	if err != nil {
		return false, &reserveError{chosen: chosen, cause: err}
	}
	answered := false
	defer func() { // a panic gives back too
		if !answered {
			giveBack(ctx, reserver, token, claims)
		}
	}()
	assigned, err := assignments(chosen, claims)
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil { // the API server may not be listening any more
		return false, fmt.Errorf("reserving addresses: %w", err)
	}
	if err := annotate(pod, token, assigned); err != nil {
		return false, err
	}
	answered = true
	logAssigned(ctx, token, claims)
	return true, nil
}

// giveBack outlives the request: that its time is up is the most likely reason to be here.
func giveBack(ctx context.Context, r Reserver, token string, claims []crdv1.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackDeadline)
	defer cancel()
	if err := r.GiveBack(ctx, token, claims); err != nil {
		log.FromContext(ctx).Error(err, "reservation not given back, it will expire", "token", token)
	}
}

func logAssigned(ctx context.Context, token string, claims []crdv1.Claim) {
	logger := log.FromContext(ctx).V(1)
	if !logger.Enabled() {
		return
	}
	for _, c := range claims {
		logger.Info("address reserved", "token", token, "pool", c.Pool, "address", c.Address)
	}
}

// leftAlone: pods that have no network of their own, and those that only mirror a static pod, for which the kubelet takes
// annotations from its file.
func leftAlone(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return pod.Spec.HostNetwork || mirror
}

// nameOf copes with pods whose name the API server makes up only after admission.
func nameOf(pod *corev1.Pod) string {
	if pod.Name == "" {
		return pod.GenerateName + "*"
	}
	return pod.Name
}
