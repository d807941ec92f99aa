// Package pki issues the keys and certificates of a cluster, all valid for as
// long as anybody will want to use it and trusted by nobody else.
package pki
