// Package apiserver gives the tests of one package an etcd and an API server that know the
// product's custom resources, and nothing else: no controller of ours or of Kubernetes, no node.
// Tests that need those are behaviours.
package apiserver
