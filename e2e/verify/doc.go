// Package verify checks what no test covers: that both modules are tidy, that the linter has no
// findings, and that generated files are up to date.
//
// Nothing is generated in the tree itself: it is copied, generated there, and compared, so that a
// check never changes what it checks.
//
// What does not live here: the generators (see the Makefile).
package verify
