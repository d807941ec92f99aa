// Package kruise stands in for OpenKruise's CloneSet controller in tests and in
// the demo: the real one is published as an image and a chart only, and no test
// of address management needs more of it than how it makes pods.
//
// Like the real one (release 1.8) it chooses the pods' names itself,
// <cloneset>-<5 random characters>, repeats that id in a label, is the pods'
// controller under apps.kruise.io/v1beta1 though the CloneSet was written as
// v1alpha1, and gives them two readiness gates, InPlaceUpdateReady and
// KruisePodReady, which it sets True; it counts deleted and finished pods as
// gone and makes others in their place; it creates in batches that double, and
// stops a round at the first refusal.
//
// Not there: rollouts (a changed template serves new pods only), volume claims,
// lifecycle hooks, adoption of pods that somebody else made.
package kruise
