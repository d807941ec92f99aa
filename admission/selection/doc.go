// Package selection decides which pools a pod may use: a pure function of the
// pod, its namespace, the configuration and the pools of a moment.
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
// The first rule that applies decides; that its pools are full or filtered out
// does not let the next one try. A rule that is still to come refuses the pod by
// the name of the annotation, so that no pod lands on another network than the
// one that was asked for. Whether a candidate is full only the ledger knows.
//
// A family that the rule does not name is not given. One that it names and that
// has no candidate left refuses the pod, and the refusal says why each pool was
// passed over, so does one where no family is left at all. Refusals also say
// which pools they rest on, so that the caller can confirm them against the API
// server before a user sees them (I12), and which pools are worth waiting for.
//
// What an annotation names must exist and be of the family it is named for, also
// where another candidate is left: a typing error must not wait unseen for the
// day on which the first pool is full.
package selection
