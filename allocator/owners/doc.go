// Package owners knows the objects that pods come from: which of them a controller reference
// means, whether it still exists, and which pods it may make again.
//
//	kinds.go   the two kinds of StatefulSet, and the ordinals in the names of their pods
//	covers.go  whether an owner may make a pod of a name again
//	reader.go  reads an owner past every cache; that it is gone is told by the API server alone
//
// Where an owner's spec can be read in two ways, the answers here are good for both: an address
// that is kept a little too long is a bounded leak, one that is not kept has lost its identity.
//
// What does not live here: what is kept for a pod, and for how long (packages allocator and
// lifecycle), and which kinds the configuration gives stable identities (package admission). Of
// ours it may import crds only.
package owners
