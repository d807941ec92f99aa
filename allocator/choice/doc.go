// Package choice says what a pod asks for (Choice, with one Slot for each address), and how giving
// it these addresses changes the pod (Patch). All packages between a pod and its addresses use it:
//
//	admission/selection           makes the slots
//	allocator/ledger              reserves an address for each
//	admission                     applies the patch to a pod that is being created
//	allocator/lifecycle/latebind  sends it as a patch of a stored pod
//
// What does not live here: which pools serve a pod, and which address is next.
package choice
