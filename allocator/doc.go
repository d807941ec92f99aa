// Package allocator is the engine: which addresses a pool may hand out (Space), which of them are taken and why (Record), which one
// is next (Pick), and how the record stands in the pool's status (Encode, Decode). It is pure: no clock, no network, no
// Kubernetes. Who may call a transition, and with which proof, is the business of the ledger and the lifecycle.
//
//	free ───── Reserve ────▶ reserved ──── Settle, PutBack ────▶ settled
//	free ◀──── GiveBack ──── reserved
//	free ───── PutBack ────────────────────────────────────────▶ settled
//	free ◀──── Release ───────────────────────────────────────── settled
//	free ◀──── Unhold ────── held ◀─────── Hold ──────────────── settled
//	free ───── Retain ─────▶ retained ◀─── Retain, Confirm ──▶ retained, with other tokens
//	free ◀── FreeRetained ── retained
//
// A Record keeps, between any two transitions:
//
//   - The four sets settled, reserved, retained and held are disjoint, and taken is their union.
//   - All addresses are of one family and have one spelling: no zone, not IPv4-mapped.
//   - A token has at most one address, reserved or retained; an identity has at most one, retained.
//   - A retained address waits for at most 16 tokens, the newest.
//   - SeenThrough only rises, but for ResetSeenThrough.
//   - What is recorded can be written down and read back: Decode(r.Encode()) says the same as r, and a text that Decode accepts
//     is the one that Encode writes.
//
// A transition succeeds wholly, or returns an error and changes nothing; repeating Reserve, Settle, PutBack or Retain that succeeded
// changes nothing either. The errors are in errors.go. The model in internal/reference says the same in the plainest way, and
// tests hold one against the other.
//
// The package refuses to expand ranges: a Space is ranges, a Set is bitmaps of 256, so a /10 or an IPv6 /64 costs what is taken of it.
// It keeps no counters beside the sets and no history.
package allocator
