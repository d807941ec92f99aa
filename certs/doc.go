// Package certs makes the certificate that the webhooks are served with, in its
// simplest form, and tells the API server whom to trust.
//
//	Ensure   Secret ──▶ still good? ──▶ used       at the start of each replica
//	                        │ no
//	                        └──▶ new CA and certificate, create or update the Secret;
//	                             who loses that race reads what the winner wrote
//	Inject   CA ──▶ caBundle of the two webhook configurations
//
// What it keeps to:
//
//   - All replicas serve one certificate, the one in the Secret. The API server
//     is the lock: create fails where it exists, update where it changed.
//   - A CA signs one certificate and its key is then forgotten: nobody can sign
//     another, and there is nothing to steal but the serving key itself.
//   - The CA of the certificate before stays in the bundle until it ends, so
//     that replicas which still serve that one are believed.
//   - A certificate lasts ten years and is made anew at a start in its last 30
//     days. Nothing renews it while a process runs: hence the long life, which
//     costs little where the only client pins the CA.
//   - Only caBundle is written to webhook configurations, by a patch that names
//     nothing else: fields of newer API versions stay.
//
// What it refuses: to serve for names that the certificate does not have. Other
// names mean a new certificate, so replicas MUST agree on them.
//
// Issuing and rotation by cert-manager come later and will stand beside this.
package certs
