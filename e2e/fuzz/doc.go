// Package fuzz runs every fuzz target of a module for a while.
//
// What lives here: finding the targets and running them. The targets are next to the parsers that
// they test, and so are earlier findings, in testdata/fuzz, where every go test runs them again.
package fuzz
