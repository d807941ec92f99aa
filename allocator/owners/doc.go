// Package owners knows the objects that create pods: which of them a controller reference means,
// whether it still exists, and which pods it may create again.
//
//	kinds.go   the two kinds of StatefulSet, and the ordinals in the names of their pods
//	covers.go  whether an owner may create a pod of a name again
//	reader.go  reads an owner from the API server, never from a cache: only that proves it is gone
//
// Where an owner's spec can be read in two ways, the answers here are safe for both: an address
// that is kept a little too long is a bounded leak, one that is not kept has lost its identity.
//
// What does not live here: what is kept for a pod, and for how long (packages allocator and
// lifecycle), and which kinds have stable identities by configuration (package admission). Of this
// project it may import crds only.
package owners
