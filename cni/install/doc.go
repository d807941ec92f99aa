// Package install puts the CNI plugin onto a node: the binary into the runtime's plugin folder, and
// a kubeconfig with a copy of the pod's own token, for networks where the runtime passes no
// annotations. It runs in a pod of a DaemonSet that mounts the host's folders.
//
//   - Every file is written to a temporary file in the same folder, synced, and renamed. A runtime
//     that starts the plugin at that moment runs the old binary or the new one, and reads the old
//     token or the new one.
//   - Apply compares before it writes, so it can be called repeatedly: it updates what changed
//     (tokens and certificate authorities rotate) and restores what was removed.
//   - It writes no CNI network configuration, starts nothing on the host, and is not part of the
//     datapath: where the runtime passes annotations, pods start while it is down.
package install
