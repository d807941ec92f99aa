// Package allocator is the engine: which addresses a pool may hand out (Space), which of them are
// taken and why (Record), which one is next (Pick), and how the record stands in the pool's status
// (Encode, Decode). It is pure: no clock, no network, no Kubernetes. Who may call a transition, and
// with which proof, is the business of the ledger and the lifecycle.
//
//	free ◀──────────────────────── Unhold ──────────────────────── held
//	free ── Reserve ─▶ reserved ── Settle, PutBack ─▶ settled ── Hold ─▶ held
//	free ◀─ GiveBack ─ reserved ── HoldReserved ───────────────────────▶ held
//	free ◀──────────── Release ────────────────────── settled
//
// The address of a stable identity begins as a reservation too. From where its pod is seen (Settle,
// PutBack) or vanishes (HoldReserved) it is retained, and goes the same ways again, until
// FreeRetained frees an unassigned one:
//
//	unassigned ◀─────────────── Unhold ────────────────── held
//	unassigned ── Reserve ─▶ pending admission
//	unassigned ◀─ GiveBack ─ pending admission ── HoldReserved ─▶ held
//	                         pending admission ── Settle, PutBack ─▶ in use
//	unassigned ◀─ Release ── in use ─── Hold ─▶ held
//
// PutBack also leads from free to settled, or to retained and in use, and from unassigned to in
// use. A Record keeps, between any two transitions:
//
//   - The four sets settled, reserved, retained and held are disjoint, and taken is their union.
//   - A retained address is unassigned, pending admission, in use or held, and only an unassigned
//     one is reserved or freed: one admission at a time, so that two pods of one name never share
//     an address on the wire.
//   - All addresses are of one family and have one spelling: no zone, not IPv4-mapped.
//   - A token has at most one address for each NIC of its pod, reserved or pending admission; so
//     has an identity, reserved for it or retained.
//   - SeenThrough only rises, but for ResetSeenThrough. LongestGrace only rises while an address is
//     in use, and is none otherwise.
//   - What is recorded can be written down and read back: Decode(r.Encode()) says the same as r,
//     and a text that Decode accepts is the one that Encode writes.
//
// A transition succeeds wholly, or returns an error and changes nothing; repeating Reserve, Settle
// or PutBack that succeeded changes nothing either. The errors are in errors.go. The model in
// internal/reference says the same in the plainest way, and tests hold one against the other.
//
// The package refuses to expand ranges: a Space is ranges, a Set is bitmaps of 256, so a /10 or an
// IPv6 /64 costs what is taken of it. It keeps no counters beside the sets and no history.
package allocator
