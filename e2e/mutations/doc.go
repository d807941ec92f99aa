// Package mutations breaks the product in known ways, one at a time, and says which test notices. A
// mutation that nothing notices is a missing test.
//
// No switch in the product does it: the patched copy of a file is compiled in the place of the file
// (go build -overlay), and only for that test.
//
// What lives here: the list, mutations.go, and the test that tries them. What does not: the tests
// that notice them.
package mutations
