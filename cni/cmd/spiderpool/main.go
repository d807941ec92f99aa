// Command spiderpool is the CNI plugin; package cni describes it.
package main

import (
	"os"

	"spidernet.io/spiderpool/cni"
)

func main() { os.Exit(cni.Main()) }
