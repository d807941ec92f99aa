// Package controlplane holds the behaviours that need no node: an API server, the controller, and
// pods that are admitted and never scheduled.
//
// Addresses are dealt out by behaviour, a /16 each, so that all can run at once:
//
//	10.1 burst          10.2 annot-order   10.3 annot-precedence  10.4 annot-forged
//	10.5 dry-run        10.6 host-network  10.7 assign-full       10.8 pool-rules
//	10.9 pool-overlap   10.10 pool-delete  10.11 annot-invalid    10.12 crash
//	10.14 life-orphan   10.15 life-gates   10.16 life-sts
//	10.17 life-restart  10.18 pool-ready    10.19 late-told
//	10.40 pod-ends      10.41 fail-closed   10.42 other-choices
//	10.43 deletion-grace                    10.44 node-unknown
//	10.64.0.0/10 pool-large
//
// and fc00:<the same number>::/32 for IPv6. Behaviours that stop controllers, or want an API server
// that is told other things, have one of their own.
package controlplane
