package kruise

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// DatabaseGroupVersion is the version of the kind Database.
var DatabaseGroupVersion = schema.GroupVersion{Group: "databases.example.com", Version: "v1"}

// LabelDatabase is the label by which a Database's StatefulSet selects its pods.
const LabelDatabase = "databases.example.com/name"

// Database is a typical kind of an operator: it has replicas and a template, and its controller
// creates a StatefulSet from them, which creates the pods.
type Database struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DatabaseSpec `json:"spec,omitempty"`
}

// DatabaseList is a list of Databases.
type DatabaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Database `json:"items"`
}

// DatabaseSpec says how many pods there are to be, and their template.
type DatabaseSpec struct {
	Replicas *int32                 `json:"replicas,omitempty"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// DeepCopy returns a copy that shares nothing with d.
func (d *Database) DeepCopy() *Database {
	out := *d
	out.ObjectMeta = *d.ObjectMeta.DeepCopy()
	out.Spec.Template = *d.Spec.Template.DeepCopy()
	if d.Spec.Replicas != nil {
		out.Spec.Replicas = new(*d.Spec.Replicas)
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (d *Database) DeepCopyObject() runtime.Object { return d.DeepCopy() }

// DeepCopy returns a copy that shares nothing with l.
func (l *DatabaseList) DeepCopy() *DatabaseList {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = slices.Clone(l.Items)
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *DatabaseList) DeepCopyObject() runtime.Object { return l.DeepCopy() }

// databases creates the StatefulSets of Databases.
type databases struct {
	client.Client
	live client.Reader
}

var _ reconcile.Reconciler = (*databases)(nil)

// Reconcile brings one Database's StatefulSet up to date.
func (r *databases) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var db Database
	if err := r.live.Get(ctx, request.NamespacedName, &db); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if db.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // the garbage collector removes the StatefulSet
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: db.Namespace, Name: db.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, set, func() error {
		mine := map[string]string{LabelDatabase: db.Name}
		template := db.Spec.Template.DeepCopy()
		if template.Labels == nil {
			template.Labels = map[string]string{}
		}
		maps.Copy(template.Labels, mine)
		if set.ResourceVersion == "" { // immutable later
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: mine}
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			set.Spec.Template = *template
		}
		set.Spec.Template.Annotations = template.Annotations
		set.Spec.Replicas = db.Spec.Replicas
		return controllerutil.SetControllerReference(&db, set, r.Scheme())
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("making the StatefulSet of %s: %w", request, err)
	}
	return reconcile.Result{}, nil
}
