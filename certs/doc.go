// Package certs issues the certificate that the webhooks are served with, in the simplest way, and
// puts its CA into the webhook configurations.
//
//	Ensure   Secret ──▶ still good? ──▶ used       at the start of each replica
//	                        │ no
//	                        └──▶ new CA and certificate, create or update the Secret;
//	                             the loser of that race reads what the winner wrote
//	Inject   CA ──▶ caBundle of the two webhook configurations
//
// Invariants:
//
//   - All replicas serve one certificate, the one in the Secret. The API server is the lock: create
//     fails where it exists, update where it changed.
//   - A CA signs one certificate and its key is then discarded: it cannot sign another, and only
//     the serving key can be stolen.
//   - The previous CA stays in the bundle until it expires, so that replicas that still serve the
//     previous certificate are trusted.
//   - A certificate is valid for ten years, and is replaced when a replica starts in its last 30
//     days. Nothing renews it while a process runs: hence the long lifetime, which costs little
//     where the only client pins the CA.
//   - Only caBundle is written to webhook configurations, by a patch that names nothing else, so
//     fields of newer API versions stay.
//
// It refuses to serve for names that the certificate does not have. Other names need a new
// certificate, so replicas MUST agree on them.
//
// Not here: issuing and rotation by cert-manager, which come later as an alternative.
package certs
