// Package component builds the programs that a cluster and its tests run, and
// keeps them.
//
// Each folder here is a Go module of its own that pins one third party with
// go.mod and go.sum: kubernetes (one binary for all its programs and etcd),
// containerd, runc, cni (the reference plugins and cnitool) and helm. They are
// not part of the e2e module because their dependencies do not agree with ours.
//
// A build lands in the cache under <component>/<version>-<hash>/bin, where the
// hash covers all that decides its content: the module's files, the flags and
// the Go release. It appears there by one rename, so what is there is whole.
// Concurrent callers, in one process or in several, wait for one build.
//
// The cache is the user's cache folder, or $SPIDERPOOL_CACHE. Nothing in it is
// needed again once deleted.
package component
