// Package syspkg ensures the few things that must come from the system, since they are not
// available as Go modules.
//
// It checks for the thing and not for the package: any compiler that works is enough. What is
// missing is installed through apt-get when run as root on a system that has it, after printing
// which package and why. On any other system the error names the packages to install.
package syspkg
