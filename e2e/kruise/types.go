package kruise

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the version that the stand-in reads and writes into owner references.
var GroupVersion = schema.GroupVersion{Group: "apps.kruise.io", Version: "v1beta1"}

// What OpenKruise writes to pods.
const (
	// LabelInstanceID is the random end of the pod's name.
	LabelInstanceID = "apps.kruise.io/cloneset-instance-id"
	// LabelLifecycle is the state of the pod; without hooks always Normal.
	LabelLifecycle = "lifecycle.apps.kruise.io/state"
	// GateInPlaceUpdate is False while a pod's image is changed in place.
	GateInPlaceUpdate corev1.PodConditionType = "InPlaceUpdateReady"
	// GatePodReady is False while OpenKruise is asked to keep traffic away.
	GatePodReady corev1.PodConditionType = "KruisePodReady"
)

// CloneSet is the part of OpenKruise's kind that the stand-in uses. The API server keeps all other
// fields of a manifest, and they are ignored here.
type CloneSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   CloneSetSpec   `json:"spec,omitempty"`
	Status CloneSetStatus `json:"status,omitempty"`
}

// CloneSetList is a list of CloneSets.
type CloneSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CloneSet `json:"items"`
}

// CloneSetSpec says how many pods there are to be, and their template.
type CloneSetSpec struct {
	Replicas *int32                 `json:"replicas,omitempty"`
	Selector *metav1.LabelSelector  `json:"selector"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// CloneSetStatus counts the existing pods.
type CloneSetStatus struct {
	ObservedGeneration   int64  `json:"observedGeneration,omitempty"`
	Replicas             int32  `json:"replicas"`
	ReadyReplicas        int32  `json:"readyReplicas"`
	AvailableReplicas    int32  `json:"availableReplicas"`
	UpdatedReplicas      int32  `json:"updatedReplicas"`
	UpdatedReadyReplicas int32  `json:"updatedReadyReplicas"`
	LabelSelector        string `json:"labelSelector,omitempty"`
}

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &CloneSet{}, &CloneSetList{}, &StatefulSet{}, &StatefulSetList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	scheme.AddKnownTypes(DatabaseGroupVersion, &Database{}, &DatabaseList{})
	metav1.AddToGroupVersion(scheme, DatabaseGroupVersion)
	return nil
}

// DeepCopy returns a copy that shares nothing with c.
func (c *CloneSet) DeepCopy() *CloneSet {
	out := *c
	out.ObjectMeta = *c.ObjectMeta.DeepCopy()
	out.Spec.Template = *c.Spec.Template.DeepCopy()
	out.Spec.Selector = c.Spec.Selector.DeepCopy()
	if c.Spec.Replicas != nil {
		out.Spec.Replicas = new(*c.Spec.Replicas)
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (c *CloneSet) DeepCopyObject() runtime.Object { return c.DeepCopy() }

// DeepCopy returns a copy that shares nothing with l.
func (l *CloneSetList) DeepCopy() *CloneSetList {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = slices.Clone(l.Items)
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *CloneSetList) DeepCopyObject() runtime.Object { return l.DeepCopy() }

// replicas returns how many pods c should have.
func (c *CloneSet) replicas() int {
	if c.Spec.Replicas == nil {
		return 1
	}
	return int(*c.Spec.Replicas)
}
