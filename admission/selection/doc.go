// Package selection decides which pools a pod may use: a pure function of the pod, its namespace,
// the configuration and a snapshot of the pools.
//
//	rules, exclusive, in order         filters, for each pool the rule names
//	───────────────────────────       ──────────────────────────────────────
//	annotation subnets  (later)        being deleted · disabled · other family
//	annotation subnet   (later)        namespaceName, namespaceAffinity
//	annotation ippools  (later)   ──▶  podAffinity · nodeName, nodeAffinity
//	annotation ippool                  multusName · Ready · vlan
//	annotations of the namespace
//	network attachment  (later)        ──▶ candidates per NIC and family,
//	default subnets     (later)            in the order to try them
//	default pools
//
// The first rule that applies decides, even if its pools are full or filtered out. A rule that is
// not implemented yet refuses the pod and names the annotation, so that no pod ends up on another
// network than it asked for. Only the ledger knows whether a candidate is full.
//
// A family that the rule does not name is not given. One that it names and that has no candidate
// left refuses the pod, and so does a rule that leaves no family at all; the refusal says why each
// pool was passed over. Refusals also say which pools they rest on, so that the caller can confirm
// them with the API server before a user sees them (I12), and which pools are worth waiting for.
//
// What an annotation names must exist and be of the family it is named for, even where another
// candidate is left: a typing error must not stay unnoticed until the first pool is full.
//
// What does not live here: which address of a pool is next, and what is written to the pod.
package selection
