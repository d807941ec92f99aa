// Package nodes holds the behaviours that need real nodes: kubelets, containerd,
// macvlan, packets. They share one cluster of two nodes on the underlay
// 172.18.0.0/16 and fc00:f853:ccd:e793::/64, and need root.
//
// Addresses are dealt out by behaviour:
//
//	172.18.41.0/24  seed-1
//	172.18.50.0/24  assign-net, and fc00:f853:ccd:e793::50:0/112
//	172.18.60.0/24  life-sts, and fc00:f853:ccd:e793::60:0/112
//	172.18.70.0/24  life-late, and fc00:f853:ccd:e793::70:0/112
//	172.18.75.0/24  life-late's foreign pods, and fc00:f853:ccd:e793::75:0/112
package nodes
