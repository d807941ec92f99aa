package admission

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
)

const (
	// podDeadline ends our own work before the API server gives the webhook up after 5 s, so that the answer is ours: one that comes
	// too late would leave the pod without its gate.
	podDeadline = 4 * time.Second
	// patience is how long a pod waits for what passes by itself: a pool that the leader has not looked at yet, a predecessor that has
	// not ended.
	patience = 2 * time.Second
	// capPatience is the same for a cap: a rollout makes room at once, and a controller over its quota would spend its workers' time here.
	capPatience = 300 * time.Millisecond
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
type PodDefaulter struct {
	o       PodOptions
	chooser *Chooser
}

var _ admission.Defaulter[*corev1.Pod] = (*PodDefaulter)(nil)

// NewPodDefaulter returns a PodDefaulter.
func NewPodDefaulter(o PodOptions) *PodDefaulter { return &PodDefaulter{o: o, chooser: NewChooser(o)} }

// Default implements admission.Defaulter.
func (d *PodDefaulter) Default(ctx context.Context, pod *corev1.Pod) error {
	request, err := admission.RequestFromContext(ctx)
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if request.Operation != admissionv1.Create || request.SubResource != "" {
		return nil // what a stored pod carries is its own
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, podDeadline)
	defer cancel()
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("pod", request.Namespace+"/"+nameOf(pod)))
	strip(pod)
	given := false
	err = d.guard(func() (err error) {
		given, err = d.assign(ctx, &request, pod)
		return err
	})
	a := answerTo(pod, given, err, d.o.Config.Exhaustion)
	a.log(ctx, err)
	d.o.Metrics.answered(a, time.Since(start))
	return a.refusal
}

// assign chooses, reserves and writes. It reports whether the pod was given anything.
func (d *PodDefaulter) assign(ctx context.Context, request *admission.Request, pod *corev1.Pod) (bool, error) {
	until, gated := time.Now().Add(patience), len(pod.Spec.SchedulingGates) > 0
	if gated { // it will be looked at again
		until = time.Now()
	}
	chosen, err := d.chooser.chooseForNew(ctx, pod, request.Namespace, until)
	switch {
	case gated && (chosen.Ours || notYet(err)):
		return false, errGated
	case err != nil || !chosen.Ours:
		return false, err
	case chosen.NotYet != nil:
		return false, deferTo(pod, chosen)
	}
	chosen.Reservation.Token = allocator.NewToken()
	e := allocationRequest{to: d.o.Reserver, choice: chosen, until: until}
	if request.DryRun != nil && *request.DryRun {
		e.to, e.dry = d.o.DryRun, true
	}
	if err := d.give(ctx, pod, e); err != nil {
		return false, err
	}
	return true, nil
}

// deferTo does to a pod what is done now to one that is given its addresses later, on purpose, and says why.
func deferTo(pod *corev1.Pod, c choice.Choice) error {
	patch, err := c.Patch("", nil)
	if err != nil {
		return err
	}
	patch.Apply(pod)
	return &deferredError{*c.NotYet}
}

// give reserves and writes. What it reserved for a pod that it does not give it to, it gives back, also where something panics.
func (d *PodDefaulter) give(ctx context.Context, pod *corev1.Pod, e allocationRequest) error {
	done := false
	defer func() {
		if !done {
			d.giveBack(ctx, e)
		}
	}()
	claims, err := d.reserve(ctx, e)
	if err != nil {
		done = true // all or none
		return &reserveError{choice: e.choice, cause: err}
	}
	patch, err := e.choice.Patch(e.token(), claims)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // the API server may not be listening any more
		return fmt.Errorf("reserving addresses: %w", err)
	}
	patch.Apply(pod)
	e.log(ctx, claims)
	done = true
	return nil
}

// guard makes an error of a panic: a request that is not answered costs the pod its gate, and its reservation time.
func (d *PodDefaulter) guard(do func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			d.o.Metrics.panicked()
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	return do()
}

// nameOf copes with pods whose name the API server makes up only after admission.
func nameOf(pod *corev1.Pod) string {
	if pod.Name == "" {
		return pod.GenerateName + "*"
	}
	return pod.Name
}
