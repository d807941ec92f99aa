// Package pki issues the keys and certificates of a cluster. They stay valid for longer than a
// cluster is used, and nothing outside trusts them.
package pki
