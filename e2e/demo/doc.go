// Package demo shows the first example of the documentation to a person, from scratch: a cluster,
// the product in it, a pool, a CloneSet, and each command with its output. It also checks what it
// shows, and fails if that is wrong. The cluster stays up.
//
// What does not live here: how a cluster starts (package cluster) and how the product is installed
// (package install).
package demo
