// Package demo shows the seed's first example to a person, from nothing: a
// cluster, the product in it, a pool, a CloneSet, and each command with what it
// prints. It also checks what it shows, and fails if it is not so. The cluster
// stays up.
package demo
