package choice

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Patch is a change of a pod. The zero value changes nothing.
type Patch struct {
	// Annotations are set; those of Remove are removed.
	Annotations map[string]string // key -> value
	Remove      []string
	// Nodes narrows the nodes that the pod may be scheduled to: each term of the pod's required
	// node affinity is combined with each of these. nil changes nothing.
	Nodes *corev1.NodeSelector
	Gate  Gate
}

// Gate says what happens to our scheduling gate.
type Gate int

// Values of Gate.
const (
	GateStays Gate = iota
	GateAdded
	GateRemoved
)

var ourGate = corev1.PodSchedulingGate{Name: crdv1.GateWaitingForAddress}

// Apply changes a pod.
func (p Patch) Apply(pod *corev1.Pod) {
	for _, key := range p.Remove {
		delete(pod.Annotations, key)
	}
	if len(p.Annotations) > 0 {
		if pod.Annotations == nil {
			pod.Annotations = make(map[string]string, len(p.Annotations))
		}
		maps.Copy(pod.Annotations, p.Annotations)
	}
	if p.Nodes != nil {
		narrow(pod, p.Nodes)
	}
	switch p.Gate {
	case GateStays:
	case GateAdded:
		if !slices.Contains(pod.Spec.SchedulingGates, ourGate) {
			pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, ourGate)
		}
	case GateRemoved:
		pod.Spec.SchedulingGates = slices.DeleteFunc(slices.Clone(pod.Spec.SchedulingGates), func(g corev1.PodSchedulingGate) bool { return g == ourGate })
	}
}

// narrow combines the pod's required node affinity with nodes. The terms of a selector are
// alternatives: the pod fits where one of its own and one of nodes fit.
func narrow(pod *corev1.Pod, nodes *corev1.NodeSelector) {
	affinity := pod.Spec.Affinity.DeepCopy()
	if affinity == nil {
		affinity = &corev1.Affinity{}
	}
	if affinity.NodeAffinity == nil {
		affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	pod.Spec.Affinity = affinity
	required := &affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if *required == nil {
		*required = nodes.DeepCopy()
		return
	}
	var joined []corev1.NodeSelectorTerm
	for _, own := range (*required).NodeSelectorTerms {
		if len(own.MatchExpressions)+len(own.MatchFields) == 0 {
			joined = append(joined, own) // it matches no node, and must stay so
			continue
		}
		for _, ours := range nodes.NodeSelectorTerms {
			joined = append(joined, corev1.NodeSelectorTerm{
				MatchExpressions: slices.Concat(own.MatchExpressions, ours.MatchExpressions),
				MatchFields:      slices.Concat(own.MatchFields, ours.MatchFields),
			})
		}
	}
	(*required).NodeSelectorTerms = joined
}

// Preconditions is the part of a patch that makes it fail where the pod is not this one any more.
type Preconditions struct {
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
}

// Merge returns the JSON merge patch (RFC 7386) that does to a stored pod what Apply does. It fails
// if the pod has changed since it was read.
func (p Patch) Merge(pod *corev1.Pod) ([]byte, error) {
	next := pod.DeepCopy()
	p.Apply(next)
	type metadata struct {
		Preconditions
		Annotations map[string]*string `json:"annotations,omitempty"` // null removes one
	}
	type spec struct {
		Affinity        *corev1.Affinity            `json:"affinity,omitempty"`
		SchedulingGates *[]corev1.PodSchedulingGate `json:"schedulingGates,omitempty"`
	}
	patch := struct {
		Metadata metadata `json:"metadata"`
		Spec     *spec    `json:"spec,omitempty"`
	}{Metadata: metadata{Preconditions{UID: pod.UID, ResourceVersion: pod.ResourceVersion}, map[string]*string{}}}
	for _, key := range p.Remove {
		patch.Metadata.Annotations[key] = nil
	}
	for key, value := range p.Annotations {
		patch.Metadata.Annotations[key] = &value
	}
	var changed spec
	if p.Nodes != nil {
		changed.Affinity = next.Spec.Affinity
	}
	if len(next.Spec.SchedulingGates) != len(pod.Spec.SchedulingGates) {
		changed.SchedulingGates = &next.Spec.SchedulingGates
	}
	if changed != (spec{}) {
		patch.Spec = &changed
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding a patch of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return data, nil
}
