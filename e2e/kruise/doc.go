// Package kruise stands in for OpenKruise's controllers of CloneSets and StatefulSets in tests and
// in the demo: the real ones are published only as an image and a chart, and tests of address
// management need only how they create pods.
//
// A CloneSet's pods are named <cloneset>-<5 random characters> and have that id in a label. Deleted
// and finished ones do not count and are replaced. A StatefulSet's pods are named
// <statefulset>-<ordinal>, without reserveOrdinals; once a pod is gone it is created again under
// its name, one after the other or in parallel, and matching pods without a controller are adopted.
// ordinals.start is ignored, as OpenKruise does by default, and honoured where the feature gate is
// on; see Gates.
//
// As with the real ones (release 1.8) the pods' owner reference says apps.kruise.io/v1beta1 even if
// the manifest said v1alpha1; the pods have the readiness gates InPlaceUpdateReady and
// KruisePodReady, which are set True; pods are created in batches that double in size, and a round
// stops at the first refusal.
//
// Not implemented: rollouts (a changed template only affects new pods), volume claims, lifecycle
// hooks.
//
// The package also has the controller of a kind Database, which creates a StatefulSet of apps/v1 as
// operators do.
package kruise
