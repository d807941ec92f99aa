// Package verify checks what no test sees: that both modules are tidy, that the
// linter has nothing to say, and that what is generated is what is committed.
//
// Nothing is regenerated in the tree itself: it is copied, generated there, and
// compared, so that a check never changes what it checks.
package verify
