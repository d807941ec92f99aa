package kruise

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// StatefulSet is the part of OpenKruise's Advanced StatefulSet that the stand-in uses.
type StatefulSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   StatefulSetSpec   `json:"spec,omitempty"`
	Status StatefulSetStatus `json:"status,omitempty"`
}

// StatefulSetList is a list of StatefulSets.
type StatefulSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StatefulSet `json:"items"`
}

// StatefulSetSpec says how many pods there are to be, their ordinals and their template.
type StatefulSetSpec struct {
	Replicas            *int32                         `json:"replicas,omitempty"`
	Selector            *metav1.LabelSelector          `json:"selector"`
	Template            corev1.PodTemplateSpec         `json:"template"`
	ServiceName         string                         `json:"serviceName,omitempty"`
	PodManagementPolicy appsv1.PodManagementPolicyType `json:"podManagementPolicy,omitempty"`
	// ReserveOrdinals are ordinals that no pod may have: 3, or "3-5".
	ReserveOrdinals []intstr.IntOrString `json:"reserveOrdinals,omitempty"`
	Ordinals        *StatefulSetOrdinals `json:"ordinals,omitempty"`
}

// StatefulSetOrdinals says where the ordinals start.
type StatefulSetOrdinals struct {
	Start int32 `json:"start"`
}

// StatefulSetStatus counts the existing pods.
type StatefulSetStatus struct {
	ObservedGeneration   int64  `json:"observedGeneration,omitempty"`
	Replicas             int32  `json:"replicas"`
	ReadyReplicas        int32  `json:"readyReplicas"`
	AvailableReplicas    int32  `json:"availableReplicas"`
	CurrentReplicas      int32  `json:"currentReplicas"`
	UpdatedReplicas      int32  `json:"updatedReplicas"`
	UpdatedReadyReplicas int32  `json:"updatedReadyReplicas,omitempty"`
	LabelSelector        string `json:"labelSelector,omitempty"`
}

// DeepCopy returns a copy that shares nothing with s.
func (s *StatefulSet) DeepCopy() *StatefulSet {
	out := *s
	out.ObjectMeta = *s.ObjectMeta.DeepCopy()
	out.Spec.Template = *s.Spec.Template.DeepCopy()
	out.Spec.Selector = s.Spec.Selector.DeepCopy()
	out.Spec.ReserveOrdinals = slices.Clone(s.Spec.ReserveOrdinals)
	if s.Spec.Replicas != nil {
		out.Spec.Replicas = new(*s.Spec.Replicas)
	}
	if s.Spec.Ordinals != nil {
		out.Spec.Ordinals = new(*s.Spec.Ordinals)
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (s *StatefulSet) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// DeepCopy returns a copy that shares nothing with l.
func (l *StatefulSetList) DeepCopy() *StatefulSetList {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = slices.Clone(l.Items)
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *StatefulSetList) DeepCopyObject() runtime.Object { return l.DeepCopy() }

// replicas returns how many pods s should have.
func (s *StatefulSet) replicas() int {
	if s.Spec.Replicas == nil {
		return 1
	}
	return int(*s.Spec.Replicas)
}

// ordered reports whether s creates and deletes its pods one after the other, which is the default.
func (s *StatefulSet) ordered() bool {
	return s.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
}
