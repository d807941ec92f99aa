// Package nodes holds the behaviours that need real nodes: kubelets, containerd, macvlan, packets.
// They share one cluster on the underlay 172.18.0.0/16 and fc00:f853:ccd:e793::/64, and need root.
// Two nodes are everybody's; whoever stops one, cuts it off or breaks it borrows a spare one.
//
// Addresses are dealt out by behaviour:
//
//	172.18.41.0/24  seed-1
//	172.18.50.0/24  assign-net, and fc00:f853:ccd:e793::50:0/112
//	172.18.51.0/24  assign-full
//	172.18.52.0/24  assign-restart
//	172.18.53.0/24  life-delete
//	172.18.54.0/24  life-finished
//	172.18.55.0/24  life-node
//	172.18.56.0/24  life-double
//	172.18.57.0/24  node-faults
//	172.18.60.0/24  life-sts, and fc00:f853:ccd:e793::60:0/112
//	172.18.70.0/24  life-late, and fc00:f853:ccd:e793::70:0/112
//	172.18.75.0/24  life-late's foreign pods, and fc00:f853:ccd:e793::75:0/112
package nodes
