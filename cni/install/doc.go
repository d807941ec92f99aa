// Package install puts the CNI plugin onto a node: the binary into the runtime's folder of plugins,
// and a kubeconfig with a copy of the pod's own token, for networks whose runtime passes no
// annotations. It runs in a pod of a DaemonSet that sees the host's folders.
//
//   - Every file is written beside its place, synced, and renamed into it. A runtime that starts the
//     plugin at that moment runs the old binary or the new one, and reads the old token or the new.
//   - Apply compares before it writes, so it can be called again and again: it renews what changed
//     (tokens rotate, authorities are replaced) and puts back what somebody removed.
//   - It writes no CNI network configuration, starts nothing on the host, and is no part of the
//     datapath: where the runtime passes annotations, pods start while it is down.
package install
