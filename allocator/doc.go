// Package allocator is the engine: which addresses a pool may hand out (Space), which are taken and why (Record), which one is next
// (Pick), and how all that is written in the pool's status (Encode, Decode). It is pure: no clock, no network, no Kubernetes.
package allocator
