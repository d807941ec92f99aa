// Package kubeconfig writes and reads the one form of kubeconfig that the
// plugin uses: one cluster reached over HTTPS with a certificate authority, one
// user with a token in a file, one context that joins them. It is written as
// JSON, which is YAML too, so kubectl can use it and no YAML parser is needed.
//
// Every other form is refused by the name of what was found: credential plugins
// would run foreign programs as root in the datapath, client certificates and
// inline tokens would not be renewed, and a connection that is not verified
// could hand any address to any pod.
package kubeconfig
