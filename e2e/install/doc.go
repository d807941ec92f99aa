// Package install puts the product into a cluster as a user would: the chart
// rendered by the real helm and applied by the API server, the controller with
// the token and the rights of its service account and no others, the plugin by
// the product's own installer.
//
// The controller runs as a process beside the API server, which reaches it by
// URL: there are no images yet. On purpose it ends when it may not lead any more:
// in the demo a supervisor starts it again, as a Deployment would.
//
//	Chart        renders and applies
//	Identity     a service account's token and CA as files
//	Controller   starts the process, waits until its webhooks answer
//	Plugin       runs the installer for one node
package install
