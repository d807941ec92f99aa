// Package fuzz runs every fuzz target of a module for a while.
//
// What lives here: finding the targets and running them. The targets stand beside
// the parsers that they are about, and what was found before stands there too, in
// testdata/fuzz, where every go test tries it again.
package fuzz
