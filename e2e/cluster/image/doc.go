// Package image makes the container images of a cluster without a registry and
// without a container engine: tarballs of one layer, to be imported by
// containerd.
//
// Two are made here: the pause image of pods' sandboxes, a small program of
// ours, and docker.io/library/busybox:latest, made of the system's statically
// linked busybox and its applets, so that manifests which say `image: busybox`
// run as they are. What goes in decides what comes out, byte for byte; tarballs
// are kept in the cache under the sum of what went in.
package image
