// Package image makes the container images of a cluster without a registry and without a container
// engine: tarballs of one layer, to be imported by containerd.
//
// It makes two: the pause image of pods' sandboxes, a small program of ours, and
// docker.io/library/busybox:latest, made of the system's statically linked busybox and its applets,
// so that manifests with `image: busybox` run as they are. Images are reproducible byte for byte;
// tarballs are cached under the hash of their input.
package image
