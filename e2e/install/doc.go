// Package install puts the product into a cluster as a user would: the chart is rendered by the
// real helm and applied to the API server, the controller has only the token and the rights of its
// service account, and the plugin is installed by the product's own installer.
//
// The controller runs as a process next to the API server, which reaches it by URL: there are no
// images yet. It exits on purpose when it may no longer lead: in the demo a supervisor restarts it,
// as a Deployment would.
//
//	Chart        renders and applies
//	Identity     a service account's token and CA as files
//	Controller   starts the process, waits until its webhooks answer
//	Plugin       runs the installer for one node
//
// What does not live here: clusters (package cluster), and tests of the product (behaviours).
package install
