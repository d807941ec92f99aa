// Package choice is the one way from a pod to its addresses: what a pod asks for
// (Choice, one Slot for each address), and what giving it that does to the pod
// (Patch).
//
//	admission/selection  makes the slots
//	allocator/ledger     reserves an address for each
//	admission            writes the patch into a pod to come
//	lifecycle, late      writes it to a pod that is stored
//	binding
//
// What does not live here: which pools serve a pod, and which address is next.
package choice
