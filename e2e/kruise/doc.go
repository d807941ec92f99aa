// Package kruise stands in for OpenKruise's controllers of CloneSets and
// StatefulSets in tests and in the demo: the real ones are published as an image
// and a chart only, and no test of address management needs more of them than
// how they make pods.
//
// A CloneSet's pods are named <cloneset>-<5 random characters> and repeat that
// id in a label. Deleted and finished ones count as gone, and others are made in
// their place. A StatefulSet's pods are named <statefulset>-<ordinal>, with
// reserveOrdinals left out; they are made again under their names once they are
// gone, one after the other or in parallel, and pods that nobody controls any more
// are adopted. ordinals.start is ignored as OpenKruise does by default, and
// honoured where the feature gate is on; see Gates.
//
// As with the real ones (release 1.8) the pods' controller is named under
// apps.kruise.io/v1beta1 though the manifest said v1alpha1; the pods have
// readiness gates, InPlaceUpdateReady and KruisePodReady, that are set True;
// pods are created in batches that double, and a round stops at the first
// refusal.
//
// Not there: rollouts (a changed template serves new pods only), volume claims,
// lifecycle hooks.
//
// Beside them stands the controller of a kind Database, which makes a
// StatefulSet of apps/v1 as operators do.
package kruise
