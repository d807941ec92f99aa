// Package v1 holds the custom resources of group spiderpool.spidernet.io, the annotations that tie
// pods to them, and the words that the project uses.
//
// The kinds are SpiderIPPool and SpiderSubnet (addresses, and who was given which), SpiderEndpoint
// (what one pod got, for people to read) and SpiderReservedIP (addresses that are never handed
// out). Comments on fields are the reference manual: `kubectl explain` shows them.
//
// # Words
//
//	reserve   take an address at admission, until its pod is seen
//	settle    record that the pod was seen
//	release   give an address back: its pod was seen finished
//	expire    give a reservation back: no pod came for it
//	retain    keep an address for a stable identity
//	hold      keep an address because no kubelet confirmed the end of its pod
//	finished  a pod in phase Succeeded or Failed with no container running
//	live      a pod from its admission until it is finished or gone
//	claim     what the annotations of a pod say it carries
//	token     ties a pod to its reservations; public, proves nothing
//
// What does not live here: decisions. Set arithmetic is in package allocator, the rules of
// validation that need other objects are in package admission.
//
// +kubebuilder:object:generate=true
// +groupName=spiderpool.spidernet.io
package v1
