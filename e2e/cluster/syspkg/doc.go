// Package syspkg makes sure of the few things that must come from the system:
// what cannot be had from Go modules.
//
// It asks for the need, not for the package: a compiler that works is enough,
// whoever installed it. What is missing is installed through apt-get when run
// as root on a system that has it, after saying which package and why. On any
// other system the error names the packages to install.
package syspkg
