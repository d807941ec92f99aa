// Command empty does nothing: the least time that a Go program takes.
package main

func main() {}
