// Package component builds the programs that a cluster and its tests run, and caches them.
//
// Each folder here is a Go module of its own that pins one third-party project with go.mod and
// go.sum: kubernetes (one binary for all its programs and etcd), containerd, runc, cni (the
// reference plugins and cnitool) and helm. They are not part of the e2e module because their
// dependencies conflict with ours.
//
// A build is stored in the cache under <component>/<version>-<hash>/bin, where the hash covers
// everything that determines the result: the module's files, the flags and the Go release. It
// appears there by a rename, so it is always complete. Concurrent callers, in one process or in
// several, wait for one build.
//
// The cache is the user's cache folder, or $SPIDERPOOL_CACHE. It may be deleted at any time; what
// is needed is built again.
package component
